/**
 * Stores the last model in the browser (IndexedDB), so that a reload does not lose it. Does nothing if there is no
 * storage.
 */

/** Metadata of a stored model. */
export interface KeptModel {
  readonly model: string;
  readonly step: number;
  /** When it was stored, in milliseconds since 1970. */
  readonly time: number;
}

const DATABASE = "mneme-playground", TABLE = "models";
/** The bytes of a checkpoint and its metadata. */
const BYTES = "last", ABOUT = "about";

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
  return await settled(request);
}

/** Stores a checkpoint in place of the previous one. @returns whether this succeeded. */
export async function saveModel(bytes: Uint8Array<ArrayBuffer>, about: KeptModel): Promise<boolean> {
  try {
    const database = await open(),
      transaction = database.transaction(TABLE, "readwrite"),
      table = transaction.objectStore(TABLE);
    const done = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
    table.put(bytes, BYTES);
    table.put(about, ABOUT);
    await done;
    database.close();
    return true;
  } catch {
    return false;
  }
}

async function read<T>(key: string): Promise<T | undefined> {
  try {
    const database = await open(),
      value: unknown = await settled(database.transaction(TABLE).objectStore(TABLE).get(key));
    database.close();
    return value as T | undefined;
  } catch {
    return undefined;
  }
}

/** The stored checkpoint. */
export function loadModel(): Promise<Uint8Array | undefined> {
  return read(BYTES);
}

/** Metadata of the stored model. */
export function storedModel(): Promise<KeptModel | undefined> {
  return read(ABOUT);
}
