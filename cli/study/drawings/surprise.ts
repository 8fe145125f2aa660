/** What surprises a memory while it reads a real text. */
import { requestDevice } from "../../../kernels/mod.ts";
import { Inspector, Model } from "../../../titans/mod.ts";
import { findCheckpoint } from "../../checkpoint_file.ts";
import { CommandError } from "../../errors.ts";
import { exists } from "../../files.ts";
import { CHECKPOINT_FILE } from "../../run_folder.ts";
import { stateOfTheUnion } from "../../sotu.ts";
import { chart } from "../report/charts.ts";
import type { Drawing } from "../report/page.ts";
import type { CellPlace } from "../run_cell.ts";

/** Bytes that are shown, and read before. */
const SHOWN = 120, BEFORE = 1024;

/** Trains a small memory on the default text, once, and draws how it reads what it has not seen. */
export async function surpriseDrawing(place: CellPlace, steps = 300): Promise<Drawing> {
  const run = `${place.folder}/drawings/lmm`;
  if (!await exists(`${run}/${CHECKPOINT_FILE}`)) {
    const flags = ["--model", "lmm", "--steps", String(steps), "--sample-tokens", "0", "--eval-every", "0"];
    const { code, error } = await place.run(["train", "--out", run, "--json", ...place.device, ...flags], place.signal);
    place.signal.throwIfAborted();
    if (code !== 0) throw new CommandError(`cannot train the model of a drawing: ${error}`);
  }
  const { checkpoint } = await findCheckpoint(run, "last"), model = new Model(checkpoint.config);
  const device = await requestDevice({ kind: "cpu" });
  try {
    const inspector = await Inspector.create(device, model, model.layout.pack(checkpoint.state.params));
    const bytes = await lastSpeech(), values: Character[] = [];
    for await (const piece of inspector.read(bytes)) {
      const surprise = piece.values("surprise");
      for (let i = 0; i < surprise.length; i++) {
        const at = piece.start + i - BEFORE, letter = String.fromCharCode(bytes[BEFORE + at]);
        if (at >= 0) {
          values.push({ at, letter: letter === " " ? "␣" : letter, surprise: surprise[i], bits: piece.bits[i] });
        }
      }
    }
    inspector.dispose();
    return {
      number: 3,
      title: "What surprises a memory",
      text:
        "A memory writes what its own inner loss did not expect. Above, how surprised the memories of a small model " +
        `are at each character of a speech that it was not trained on; below, how many bits each character cost. Trained for ${checkpoint.state.step} steps.`,
      svg: await strips(values),
    };
  } finally {
    device.dispose();
  }
}

/** A character of the text. */
interface Character {
  readonly at: number;
  readonly letter: string;
  readonly surprise: number;
  readonly bits: number;
}

/** The end of the last speech, which is held out. */
async function lastSpeech(): Promise<Uint8Array> {
  const bytes = await stateOfTheUnion();
  return bytes.subarray(bytes.length - BEFORE - SHOWN);
}

function strips(values: readonly Character[]): Promise<string> {
  const x = { field: "at", type: "ordinal" as const };
  const letters = {
    labelExpr: `${JSON.stringify(values.map(({ letter }) => letter))}[datum.value]`,
    labelAngle: 0,
    ticks: false,
    title: null,
  };
  return chart({
    data: { values: [...values] },
    vconcat: (["surprise", "bits"] as const).map((field) => ({
      width: { step: 8 },
      height: 90,
      mark: { type: "bar" as const, color: field === "surprise" ? "#d55e00" : "#0072b2" },
      encoding: { x: { ...x, axis: letters }, y: { field, type: "quantitative" as const, title: field } },
    })),
  }, `Surprise and bits of ${values.length} characters of a speech`);
}
