/** Everything that reads bytes. */
import type { ByteReader } from "./reader.ts";
import { COMMAND_READERS } from "./readers/commands.ts";
import { RECORD_READERS } from "./readers/records.ts";
import { RUN_READERS } from "./readers/runs.ts";
import { TENSOR_READERS } from "./readers/tensors.ts";
import { TOKEN_READERS } from "./readers/tokens.ts";

/** The readers by family. */
export const READERS: readonly ByteReader[] = [
  ...TENSOR_READERS,
  ...RECORD_READERS,
  ...RUN_READERS,
  ...TOKEN_READERS,
  ...COMMAND_READERS,
];
