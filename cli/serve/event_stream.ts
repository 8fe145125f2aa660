/** Server-sent events, which wait for a slow reader instead of piling up. */

/** Bytes that may wait in the stream before its writer has to. */
const MOST_WAITING_BYTES = 64 * 1024;

/** A stream of events. */
export class EventStream {
  /** The body of the answer. */
  readonly body: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #open = true;
  #drained: PromiseWithResolvers<void> | undefined;

  /** @param onCancel Called when the reader leaves. */
  constructor(onCancel: () => void) {
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#release(),
      cancel: () => {
        this.#open = false;
        this.#release();
        onCancel();
      },
    }, new ByteLengthQueuingStrategy({ highWaterMark: MOST_WAITING_BYTES }));
  }

  /** Sends an event. */
  send(data: unknown): void {
    if (!this.#open) return;
    const text = typeof data === "string" ? data : JSON.stringify(data);
    this.#controller.enqueue(this.#encoder.encode(`data: ${text}\n\n`));
  }

  /** While the reader is behind: resolves once it has caught up, or left. */
  full(): Promise<void> | undefined {
    if (!this.#open || (this.#controller.desiredSize ?? 0) > 0) return undefined;
    this.#drained ??= Promise.withResolvers<void>();
    return this.#drained.promise;
  }

  /** Ends the stream. */
  close(): void {
    if (this.#open) this.#controller.close();
    this.#open = false;
  }

  #release(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}
