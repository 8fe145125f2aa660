/** The fields of interfaces with what is written above them, from `deno doc --json`. */

/** A field of an interface. */
export interface DocumentedField {
  readonly name: string;
  readonly isOptional: boolean;
  /** What its documentation says, on one line. */
  readonly text: string;
}

interface Property {
  readonly name: string;
  readonly optional?: boolean;
  readonly jsDoc?: { readonly doc?: string; readonly tags?: readonly { readonly kind: string }[] };
}
interface Declaration {
  readonly def: {
    readonly properties?: readonly Property[];
    readonly extends?: readonly {
      readonly repr: string;
      readonly value: {
        readonly typeParams?: readonly { readonly repr?: string; readonly value: { readonly string?: string } }[];
      };
    }[];
  };
}
interface Documentation {
  readonly nodes: Readonly<
    Record<
      string,
      { readonly symbols: readonly { readonly name: string; readonly declarations: readonly Declaration[] }[] }
    >
  >;
}

const read = new Map<string, Promise<ReadonlyMap<string, Declaration>>>();

function declarationsOf(file: string): Promise<ReadonlyMap<string, Declaration>> {
  const found = read.get(file) ?? readDeclarations(file);
  read.set(file, found);
  return found;
}

async function readDeclarations(file: string): Promise<ReadonlyMap<string, Declaration>> {
  const { code, stdout } = await new Deno.Command("deno", { args: ["doc", "--json", file], stderr: "null" }).output();
  if (code !== 0) throw new Error(`deno doc cannot read ${file}`);
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout)) as Documentation;
  const symbols = Object.values(nodes).flatMap(({ symbols }) => symbols);
  return new Map(symbols.map(({ name, declarations }) => [name, declarations[0]]));
}

/**
 * The fields of an interface, with those that it picks from others; internal ones are left out.
 * @param place Of the interface, such as `kernels/mod.ts DeviceOptions`.
 * @throws Error if it is not there, or a field is not documented.
 */
export async function fieldsOf(place: string): Promise<DocumentedField[]> {
  const [file, name] = place.split(" "), declarations = await declarationsOf(file);
  const propertiesOf = (of: string): readonly Property[] => {
    const found = declarations.get(of);
    if (!found) throw new Error(`there is no interface ${of} in ${file}`);
    return found.def.properties ?? [];
  };
  const picked = (declarations.get(name)?.def.extends ?? []).filter(({ repr }) => repr === "Pick").flatMap(
    ({ value }) => {
      const [{ repr = "" }, ...names] = value.typeParams ?? [{ value: {} }];
      const wanted = names.map(({ value }) => value.string);
      return propertiesOf(repr).filter((property) => wanted.includes(property.name));
    },
  );
  return [...propertiesOf(name), ...picked].filter(({ jsDoc }) => !jsDoc?.tags?.some(({ kind }) => kind === "internal"))
    .map((property) => {
      const text = (property.jsDoc?.doc ?? "").trim().replaceAll(/\s+/g, " ");
      if (text === "") throw new Error(`${property.name} of ${name} in ${file} is not documented`);
      return { name: property.name, isOptional: property.optional ?? false, text };
    });
}
