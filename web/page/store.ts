/**
 * The last model, kept in the browser's own storage (IndexedDB): what a reload would lose. Where there is no storage,
 * nothing is kept.
 */

/** What is known of a kept model without reading it. */
export interface KeptModel {
  readonly model: string;
  readonly step: number;
  /** When it was kept, in milliseconds since 1970. */
  readonly time: number;
}

const DATABASE = "mneme-playground", TABLE = "models";
/** The bytes of a checkpoint, and what is known of it. */
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

/** Keeps a checkpoint in place of the one before; whether that worked. */
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

/** The checkpoint that was kept. */
export function loadModel(): Promise<Uint8Array | undefined> {
  return read(BYTES);
}

/** What is known of the model that was kept. */
export function storedModel(): Promise<KeptModel | undefined> {
  return read(ABOUT);
}
