/** How the registry opens the reference device. */
import { ReferenceDevice } from "./device.ts";

/** It needs nothing. */
export function isAvailable(): boolean {
  return true;
}

/** Opens it. */
export function request(): Promise<ReferenceDevice> {
  return Promise.resolve(new ReferenceDevice());
}
