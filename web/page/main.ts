/** The page: forms, messages to the worker, and what it answers. */
import { byId, textElement } from "./dom.ts";
import { LossView } from "./loss_view.ts";
import type { DeviceChoice, Reply, Request, Size } from "./protocol.ts";
import { ReadingView } from "./reading_view.ts";
import { TEXTS } from "./texts.ts";
import type { ModelKind } from "../../titans/mod.ts";

/** Bytes that are read at once, at most, and that training needs at least. */
const MOST_READ = 384, LEAST_TEXT = 300;

const worker = new Worker("worker.js");
const send = (request: Request): void => worker.postMessage(request);

const text = byId("text", HTMLTextAreaElement), sample = byId("sample", HTMLTextAreaElement), choice = byId("text-choice", HTMLSelectElement);
const status = byId("status", HTMLParagraphElement), errorBox = byId("error", HTMLParagraphElement), written = byId("written", HTMLOutputElement);
const buttons = Object.fromEntries((["start", "stop", "continue", "save", "write", "read"] as const).map((id) => [id, byId(id, HTMLButtonElement)]));
const losses = new LossView(), readings = new ReadingView();

/** What is shown depends on whether the worker works, and on whether there is a model. */
let busy = false, trained = false, decoder = new TextDecoder();

function update(): void {
  for (const id of ["continue", "save", "write", "read"]) buttons[id].disabled = busy || !trained;
  buttons.start.disabled = busy;
  buttons.stop.disabled = !busy;
  byId("load", HTMLInputElement).disabled = busy;
}

/** Asks for something that takes time. */
function ask(request: Request, saying: string): void {
  busy = true;
  errorBox.hidden = true;
  status.textContent = saying;
  send(request);
  update();
}

/** Says what happened; the worker waits again. */
function settle(saying: string): void {
  busy = false;
  status.textContent = saying;
  update();
}

function fail(message: string): void {
  settle("Stopped by an error.");
  errorBox.hidden = false;
  errorBox.textContent = message;
}

function number(id: string): number {
  return byId(id, HTMLInputElement).valueAsNumber;
}

function selected<T extends string>(id: string): T {
  return byId(id, HTMLSelectElement).value as T;
}

/** The first bytes of a text, whole characters only. */
function firstBytes(source: string, most: number): Uint8Array {
  const bytes = new Uint8Array(most);
  const { written } = new TextEncoder().encodeInto(source, bytes);
  return bytes.slice(0, written);
}

/** The text to learn; undefined, and an error shown, if it is too short. */
function trainingText(): Uint8Array | undefined {
  const bytes = new TextEncoder().encode(text.value);
  if (bytes.length >= LEAST_TEXT) return bytes;
  fail(`The text has ${bytes.length} bytes: give at least ${LEAST_TEXT}`);
  return undefined;
}

const HANDLERS: { readonly [Type in Reply["type"]]: (reply: Extract<Reply, { readonly type: Type }>) => void } = {
  ready({ device, config, parameters, step }) {
    trained = true;
    byId("device-name", HTMLElement).textContent = device;
    byId("parameters", HTMLElement).textContent = parameters.toLocaleString("en");
    losses.reset(step);
    status.textContent = `A ${config.model} model of width ${config.width} at step ${step}, on ${device}.`;
  },
  loaded: ({ step }) => settle(`Loaded: the model stands at step ${step}. ${status.textContent}`),
  progress({ step, bits, bytesPerSecond }) {
    losses.add(step, bits, bytesPerSecond);
    const news = losses.news();
    if (news) status.textContent = news;
  },
  paused: ({ step, stopped }) => settle(`${stopped ? "Stopped" : "Done"} at step ${step}. ${losses.summary()}`),
  written: ({ bytes }) => written.append(decoder.decode(Uint8Array.from(bytes), { stream: true })),
  done: () => settle(`Written: ${written.textContent!.length} characters.`),
  reading({ reading }) {
    readings.show(reading);
    settle(`Read ${reading.text.length} bytes. Below, the text is coloured; choose a byte to see more.`);
  },
  checkpoint({ bytes, name }) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes]));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    settle(`Saved ${name}, ${(bytes.length / 1e6).toFixed(1)} MB.`);
  },
  error: ({ message }) => fail(message),
};

worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => (HANDLERS[data.type] as (reply: Reply) => void)(data));
worker.addEventListener("error", (event) => fail(`The page's worker failed: ${event.message || "it could not be loaded"}`));

function listen(id: string, type: string, listener: () => unknown): void {
  byId(id, HTMLElement).addEventListener(type, (event) => {
    if (type === "submit") event.preventDefault();
    Promise.resolve(listener()).catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)));
  });
}

listen("options", "submit", () => {
  const bytes = trainingText();
  if (!bytes) return;
  const options = { model: selected<ModelKind>("model"), size: selected<Size>("size"), steps: number("steps"), seed: number("seed") };
  ask({ type: "start", options, device: selected<DeviceChoice>("device"), text: bytes }, "Compiling the training step.");
});
listen("stop", "click", () => send({ type: "stop" }));
listen("continue", "click", () => ask({ type: "train", steps: number("steps") }, "Training."));
listen("save", "click", () => ask({ type: "save" }, "Saving."));
listen("load", "change", async () => {
  const input = byId("load", HTMLInputElement), file = input.files?.[0], bytes = trainingText();
  if (!file || !bytes) return;
  const checkpoint = new Uint8Array(await file.arrayBuffer());
  input.value = "";
  ask({ type: "load", checkpoint, steps: number("steps"), device: selected<DeviceChoice>("device"), text: bytes }, `Loading ${file.name}.`);
});
listen("write-options", "submit", () => {
  const prompt = byId("prompt", HTMLInputElement).value;
  decoder = new TextDecoder();
  written.textContent = prompt;
  const request = { prompt: new TextEncoder().encode(prompt), count: number("count"), temperature: number("temperature"), seed: number("seed") };
  ask({ type: "write", ...request }, "Writing.");
});
listen("read-options", "submit", () => {
  const bytes = firstBytes(sample.value, MOST_READ);
  if (bytes.length < 2) return fail("The text to read has fewer than 2 bytes: give a longer one");
  ask({ type: "read", text: bytes }, "Reading, with and without the memory.");
});
listen("text", "input", describeText);
listen("text-choice", "change", chooseText);

function describeText(): void {
  byId("text-size", HTMLParagraphElement).textContent = `${new TextEncoder().encode(text.value).length.toLocaleString("en")} bytes; at least ${LEAST_TEXT}.`;
}

async function chooseText(): Promise<void> {
  const offered = TEXTS[Number(choice.value)];
  byId("text-note", HTMLParagraphElement).textContent = offered.note;
  text.value = await offered.load();
  // The end of a text is as good as any other part of it.
  const end = text.value.slice(-MOST_READ);
  sample.value = end.slice(end.search(/[\s]/) + 1, -1);
  describeText();
}

choice.replaceChildren(...TEXTS.map(({ title }, i) => Object.assign(textElement("option", title), { value: String(i) })));
update();
chooseText().catch((error: unknown) => fail(String(error)));
