/** The tab for training: forms, requests to the worker, and its responses. */
import { type ControlName, Controls } from "./controls.ts";
import { byId, textElement } from "./dom.ts";
import { LossView } from "./loss_view.ts";
import type { DeviceChoice, Reply, Request, Size } from "./protocol.ts";
import { ReadingView } from "./reading_view.ts";
import { TEXTS } from "./texts.ts";
import type { ModelKind } from "../../titans/mod.ts";

/** Maximum number of bytes to read at once, and minimum number for training. */
const MOST_READ = 384, LEAST_TEXT = 300;

const worker = new Worker("worker.js", { type: "module" });
const send = (request: Request): void => worker.postMessage(request);

const text = byId("text", HTMLTextAreaElement),
  sample = byId("sample", HTMLTextAreaElement),
  choice = byId("text-choice", HTMLSelectElement);
const status = byId("status", HTMLParagraphElement),
  errorBox = byId("error", HTMLParagraphElement),
  written = byId("written", HTMLOutputElement);
const losses = new LossView(),
  readings = new ReadingView(),
  controls = new Controls(["start", "stop", "continue", "save", "load", "restore", "write", "read"]);

/** The options of the current model. */
interface Made {
  readonly model: string;
  readonly size: string;
  readonly seed: number;
  readonly device: string;
  readonly step: number;
}

/** The state that determines what is shown: whether the worker is busy, the current model, and whether it is saved. */
const state = { busy: false, hasModel: false, unsaved: false, kept: false, canRestore: false, sampleEdited: false };
let made: Made | undefined, learned = "", decoder = new TextDecoder(), told = 0;

function update(): void {
  const { busy, hasModel, canRestore } = state;
  controls.enable({ start: !busy, load: !busy, stop: busy, restore: !busy && canRestore });
  for (const id of ["continue", "save", "write", "read"] as const) controls.enable({ [id]: !busy && hasModel });
  describeChanges();
}

/** Sends a request that takes time. */
function ask(request: Request, saying: string): void {
  state.busy = true;
  errorBox.hidden = true;
  status.textContent = saying;
  send(request);
  update();
}

/** Shows a result; the worker is idle again. */
function settle(saying: string): void {
  state.busy = false;
  status.textContent = saying;
  update();
}

function fail(message: string): void {
  settle(state.hasModel ? `This failed; the model at step ${made?.step} is unchanged.` : "This failed.");
  errorBox.hidden = false;
  errorBox.textContent = message;
}

/** Shows progress at most once per second, because screen readers read it out. */
function mention(saying: string, isLast: boolean): void {
  if (!isLast && performance.now() - told < 1000) return;
  told = performance.now();
  status.textContent = saying;
}

/** Explains which changes of the form affect the current model. */
function describeChanges(): void {
  const lines: string[] = [];
  if (made && state.hasModel) {
    const now = { model: selected("model"), size: selected("size"), seed: number("seed"), device: selected("device") },
      was = made;
    const changed = (Object.keys(now) as (keyof typeof now)[]).filter((name) => now[name] !== was[name]);
    if (changed.length > 0) {
      lines.push(
        `Changed: ${changed.join(", ")}. This applies to Train from scratch; Continue uses ${was.model}, ${was.size}.`,
      );
    }
    if (learned !== "" && text.value !== learned) lines.push("The text was changed: Continue trains on the new one.");
  }
  byId("options-note", HTMLParagraphElement).textContent = lines.join(" ");
}

/** Asks whether the current model may be replaced. */
function mayReplace(how: string): boolean {
  return !state.hasModel || !state.unsaved ||
    confirm(`${how} replaces the model at step ${made?.step}, which is not saved. Continue?`);
}

function number(id: string): number {
  return byId(id, HTMLInputElement).valueAsNumber;
}

function selected<T extends string>(id: string): T {
  return byId(id, HTMLSelectElement).value as T;
}

/** Selects an option, also a hidden one. */
function select(id: string, value: string): void {
  const element = byId(id, HTMLSelectElement);
  for (const option of element.options) if (option.value === value) option.hidden = option.disabled = false;
  element.value = value;
}

function byteCount(source: string): number {
  return new TextEncoder().encode(source).length;
}

/** The first bytes of a text, whole characters only. */
function firstBytes(source: string, most: number): Uint8Array {
  const bytes = new Uint8Array(most);
  const { written } = new TextEncoder().encodeInto(source, bytes);
  return bytes.slice(0, written);
}

/** The training text; undefined, with an error message, if it is too short. */
function trainingText(): Uint8Array | undefined {
  const bytes = new TextEncoder().encode(text.value);
  if (bytes.length >= LEAST_TEXT) return bytes;
  fail(`The text has ${bytes.length} bytes: it needs at least ${LEAST_TEXT}`);
  return undefined;
}

const HANDLERS: { readonly [Type in Reply["type"]]: (reply: Extract<Reply, { readonly type: Type }>) => void } = {
  ready({ device, config, size, parameters, step, seed }) {
    state.hasModel = true;
    state.unsaved = state.kept = false;
    made = { model: config.model, size, seed, device: selected("device"), step };
    select("model", config.model);
    select("size", size);
    byId("seed", HTMLInputElement).value = String(seed);
    byId("device-name", HTMLElement).textContent = device;
    byId("parameters", HTMLElement).textContent = parameters.toLocaleString("en");
    losses.reset(step);
    status.textContent = `A ${config.model} model of width ${config.width} at step ${step}, on ${device}.`;
  },
  compiling: ({ done, total }) => mention(`Compiling: ${done} of ${total} kernels.`, done === total),
  loaded({ step, kept }) {
    // A model that only the browser stores is not saved to a file.
    state.unsaved = state.kept = kept;
    settle(`Loaded a model at step ${step}. ${status.textContent}`);
  },
  progress({ step, end, bits, bytesPerSecond }) {
    state.unsaved = true;
    if (made) made = { ...made, step };
    losses.add(step, bits, { end, bytesPerSecond });
    const news = losses.news();
    if (news) status.textContent = news;
  },
  stored({ step }) {
    state.canRestore = true;
    byId("stored", HTMLElement).textContent = `The browser stores step ${step}.`;
  },
  paused({ step, stopped, kept }) {
    state.kept = kept;
    state.canRestore ||= kept;
    byId("stored", HTMLElement).textContent = "";
    losses.end();
    settle(
      `${stopped ? "Stopped" : "Done"} at step ${step}. ${losses.summary()}${
        kept ? " The browser stores this model." : ""
      }`,
    );
  },
  kept({ model }) {
    state.canRestore = model !== undefined;
    if (model && !state.busy && !state.hasModel) {
      const when = new Date(model.time).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
      status.textContent =
        `Ready. The browser stores the ${model.model} model of ${when}, at step ${model.step}: use Restore last model to load it.`;
    }
    update();
  },
  written: ({ bytes }) => written.append(decoder.decode(Uint8Array.from(bytes), { stream: true })),
  done: () => settle(`Generated ${written.textContent!.length} characters.`),
  "reading-progress": ({ done, total }) =>
    mention(`Reading, with and without the memory: ${done} of ${total} times.`, done === total),
  reading({ reading }) {
    readings.show(reading);
    const all = byteCount(sample.value), read = reading.text.length;
    settle(
      `Read ${
        read < all ? `the first ${read} of ${all}` : read
      } bytes. Below, the text is coloured; choose a character to see more.`,
    );
  },
  checkpoint({ bytes, name }) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes]));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    state.unsaved = false;
    settle(`Saved ${name}, ${(bytes.length / 1e6).toFixed(1)} MB.`);
  },
  stopped({ hasModel }) {
    state.hasModel = hasModel;
    settle(hasModel ? `Stopped; the model at step ${made?.step} is unchanged.` : "Stopped.");
  },
  error({ message, hasModel }) {
    state.hasModel = hasModel;
    fail(message);
  },
};

worker.addEventListener(
  "message",
  ({ data }: MessageEvent<Reply>) => (HANDLERS[data.type] as (reply: Reply) => void)(data),
);
worker.addEventListener(
  "error",
  (event) => fail(`The page's worker failed: ${event.message || "it could not be loaded"}`),
);

/** Listens to an element; ignored while its control is off. */
function listen(id: string, type: string, listener: () => unknown, control?: ControlName): void {
  byId(id, HTMLElement).addEventListener(type, (event) => {
    if (type === "submit") event.preventDefault();
    if (control && !controls.isEnabled(control)) return;
    Promise.resolve(listener()).catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)));
  });
}

function common(): { readonly steps: number; readonly device: DeviceChoice } {
  return { steps: number("steps"), device: selected("device") };
}

listen("options", "submit", () => {
  const bytes = trainingText();
  if (!bytes || !mayReplace("Train from scratch")) return;
  const { steps, device } = common(),
    options = { model: selected<ModelKind>("model"), size: selected<Size>("size"), steps, seed: number("seed") };
  learned = text.value;
  ask({ type: "start", options, steps, device, text: bytes }, "Compiling the training step.");
}, "start");
listen("stop", "click", () => {
  status.textContent = "Stopping.";
  send({ type: "stop" });
}, "stop");
listen("continue", "click", () => {
  const bytes = trainingText();
  if (!bytes) return;
  const isNew = learned !== "" && learned !== text.value;
  learned = text.value;
  ask({ type: "train", steps: number("steps"), text: bytes }, isNew ? "Training on the changed text." : "Training.");
}, "continue");
listen("save", "click", () => ask({ type: "save" }, "Saving."), "save");
listen("restore", "click", () => {
  if (mayReplace("Restoring")) ask({ type: "restore", ...common() }, "Restoring the last model.");
}, "restore");
listen("load", "change", async () => {
  const input = byId("load", HTMLInputElement), file = input.files?.[0];
  if (!file) return;
  const checkpoint = new Uint8Array(await file.arrayBuffer());
  input.value = "";
  if (mayReplace("Loading a checkpoint")) ask({ type: "load", checkpoint, ...common() }, `Loading ${file.name}.`);
}, "load");
listen("write-options", "submit", () => {
  const prompt = byId("prompt", HTMLInputElement).value;
  decoder = new TextDecoder();
  written.textContent = prompt;
  const request = {
    prompt: new TextEncoder().encode(prompt),
    count: number("count"),
    temperature: number("temperature"),
    seed: number("seed"),
  };
  ask({ type: "write", ...request }, "Writing.");
}, "write");
listen("read-options", "submit", () => {
  const bytes = firstBytes(sample.value, MOST_READ);
  if (bytes.length < 2) return fail("The text to read has fewer than 2 bytes: enter a longer one");
  ask({ type: "read", text: bytes }, "Reading, with and without the memory.");
}, "read");
listen("text", "input", followText);
listen("sample", "input", () => {
  state.sampleEdited = sample.value !== "";
  describeTexts();
});
listen("text-choice", "change", chooseText);
for (const id of ["model", "size", "device", "seed"]) listen(id, "change", describeChanges);

// The browser asks before leaving the page if something would be lost.
addEventListener("beforeunload", (event) => {
  if (state.busy && state.hasModel || state.unsaved && !state.kept) event.preventDefault();
});

function describeTexts(): void {
  const all = byteCount(sample.value);
  byId("text-size", HTMLParagraphElement).textContent = `${
    byteCount(text.value).toLocaleString("en")
  } bytes; training needs at least ${LEAST_TEXT}.`;
  byId("sample-size", HTMLParagraphElement).textContent = `${all} bytes${
    all > MOST_READ ? `, of which the first ${MOST_READ} are read` : ""
  }.`;
  describeChanges();
}

/** The text to read is the end of the training text until the visitor enters one. */
function followText(): void {
  if (!state.sampleEdited) {
    const end = new TextDecoder().decode(new TextEncoder().encode(text.value).slice(-MOST_READ)),
      word = end.search(/\s/);
    sample.value = (end.length < text.value.length && word >= 0 ? end.slice(word + 1) : end).replace(/^\uFFFD+/, "")
      .trimEnd();
  }
  describeTexts();
}

async function chooseText(): Promise<void> {
  const offered = TEXTS[Number(choice.value)];
  byId("text-note", HTMLParagraphElement).textContent = offered.note;
  text.value = await offered.load();
  followText();
}

choice.replaceChildren(
  ...TEXTS.map(({ title }, i) => Object.assign(textElement("option", title), { value: String(i) })),
);
update();
send({ type: "look" });
chooseText().catch((error: unknown) => fail(String(error)));
