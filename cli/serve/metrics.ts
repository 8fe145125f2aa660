/** Figures of a server in Prometheus' text format. */

/** Bounds of the latency histogram, in seconds. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

interface Latency {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** What tokens were for. */
export type TokenUse = "prompt" | "completion" | "memory";

/** Figures that are looked up when they are asked for. */
export interface Gauges {
  readonly queueLength: number;
  readonly activeTexts: number;
  readonly batchSteps: number;
  readonly memories: number;
  readonly memoryBytes: number;
  readonly residentBytes: number;
}

/** Counts requests and tokens. */
export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #latencies = new Map<string, Latency>();
  readonly #tokens: Record<TokenUse, number> = { prompt: 0, completion: 0, memory: 0 };

  /** Counts a request. @param route Its pattern, such as `POST /v1/memories/{id}/read`. */
  request(route: string, status: number, seconds: number): void {
    const key = `route="${route}",status="${status}"`;
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
    const latency = this.#latencies.get(route) ?? { counts: BOUNDS.map(() => 0), sum: 0, count: 0 };
    BOUNDS.forEach((bound, i) => latency.counts[i] += seconds <= bound ? 1 : 0);
    latency.sum += seconds;
    latency.count++;
    this.#latencies.set(route, latency);
  }

  /** Counts tokens. */
  tokens(use: TokenUse, count: number): void {
    this.#tokens[use] += count;
  }

  /** All figures. */
  format(gauges: Gauges): string {
    const gauge = (name: string, help: string, value: number) => family(name, "gauge", help, [`${name} ${value}`]);
    return [
      family(
        "mneme_requests_total",
        "counter",
        "Requests answered.",
        [...this.#requests].map(([labels, count]) => `mneme_requests_total{${labels}} ${count}`),
      ),
      family(
        "mneme_tokens_total",
        "counter",
        "Tokens read and written.",
        Object.entries(this.#tokens).map((
          [use, count],
        ) => `mneme_tokens_total{use="${use}"} ${count}`),
      ),
      family("mneme_batch_steps_total", "counter", "Launches of the batched decoder.", [
        `mneme_batch_steps_total ${gauges.batchSteps}`,
      ]),
      gauge("mneme_queue_length", "Texts that wait for the device.", gauges.queueLength),
      gauge("mneme_active_texts", "Texts that are being written.", gauges.activeTexts),
      gauge("mneme_memories", "Memories that are kept.", gauges.memories),
      gauge("mneme_memory_bytes", "Bytes of the memories on disk.", gauges.memoryBytes),
      gauge("process_resident_memory_bytes", "Resident memory of the process.", gauges.residentBytes),
      family(
        "mneme_request_duration_seconds",
        "histogram",
        "Time until a request was answered to its end.",
        [
          ...this.#latencies,
        ].flatMap(([route, latency]) => histogram(route, latency)),
      ),
    ].join("");
  }
}

function family(name: string, type: string, help: string, lines: readonly string[]): string {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

function histogram(route: string, { counts, sum, count }: Latency): string[] {
  const name = "mneme_request_duration_seconds", label = `route="${route}"`;
  return [
    ...BOUNDS.map((bound, i) => `${name}_bucket{${label},le="${bound}"} ${counts[i]}`),
    `${name}_bucket{${label},le="+Inf"} ${count}`,
    `${name}_sum{${label}} ${sum}`,
    `${name}_count{${label}} ${count}`,
  ];
}
