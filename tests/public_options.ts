/**
 * Which parameters of the public functions are records with optional fields: those where a misspelt name would pass
 * unnoticed. Read from `deno doc --json`.
 */

/** A parameter that takes options. */
export interface OptionParameter {
  /** Such as `sum`, `Trainer.create` or `new Sampler`. */
  readonly owner: string;
  /** Position of the parameter. */
  readonly at: number;
  /** The name of its type, if it has one. */
  readonly type: string;
}

interface TsType {
  readonly kind: string;
  readonly repr?: string;
  readonly value?: unknown;
}
interface Property {
  readonly name: string;
  readonly optional?: boolean;
}
interface Definition {
  readonly properties?: readonly Property[];
  readonly methods?: readonly {
    readonly name: string;
    readonly accessibility?: string;
    readonly functionDef: Definition;
  }[];
  readonly constructors?: readonly { readonly params: readonly Parameter[]; readonly accessibility?: string }[];
  readonly extends?: readonly TsType[];
  readonly tsType?: TsType;
  readonly params?: readonly Parameter[];
  readonly typeParams?: readonly { readonly name: string; readonly constraint?: TsType }[];
}
interface Parameter {
  readonly kind: string;
  readonly tsType?: TsType;
  readonly left?: Parameter;
}
interface Declaration {
  readonly kind: string;
  readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
  readonly def: Definition;
}
type Symbols = ReadonlyMap<string, readonly Declaration[]>;

/** The option parameters of everything that entry points export. */
export async function optionParameters(entryPoints: readonly string[]): Promise<OptionParameter[]> {
  const { stdout } = await new Deno.Command("deno", { args: ["doc", "--json", ...entryPoints], stderr: "null" })
    .output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout)) as {
    nodes: Record<string, { symbols: { name: string; declarations: Declaration[] }[] }>;
  };
  const found = new Map<string, OptionParameter>();
  for (const { symbols: list } of Object.values(nodes)) {
    const symbols = new Map(list.map(({ name, declarations }) => [name, declarations]));
    for (const [name, declarations] of symbols) {
      for (const declaration of declarations) {
        for (const each of ofDeclaration(name, declaration, symbols)) found.set(`${each.owner} ${each.at}`, each);
      }
    }
  }
  return [...found.values()];
}

function ofDeclaration(name: string, { kind, def }: Declaration, symbols: Symbols): OptionParameter[] {
  if (kind === "function") return ofParameters(name, def, symbols);
  if (kind !== "class") return [];
  const isPublic = ({ accessibility }: { readonly accessibility?: string }): boolean =>
    accessibility === undefined || accessibility === "public";
  return [
    ...(def.constructors ?? []).filter(isPublic).flatMap((each) => ofParameters(`new ${name}`, each, symbols)),
    ...(def.methods ?? []).filter(isPublic).flatMap((each) =>
      ofParameters(`${name}.${each.name}`, each.functionDef, symbols)
    ),
  ];
}

function ofParameters(
  owner: string,
  { params = [], typeParams = [] }: Definition,
  symbols: Symbols,
): OptionParameter[] {
  return params.flatMap((given, at) => {
    const { tsType } = given.left ?? given;
    // `O extends GradOptions` takes what GradOptions takes.
    const constraint = typeParams.find(({ name }) => name === tsType?.repr)?.constraint;
    const type = constraint ?? tsType;
    return propertiesOf(type, symbols)?.some(({ optional }) => optional) ? [{ owner, at, type: type?.repr ?? "" }] : [];
  });
}

/** The fields of a record type; undefined if it is none. */
function propertiesOf(type: TsType | undefined, symbols: Symbols): readonly Property[] | undefined {
  if (type?.kind === "typeLiteral") return (type.value as Definition).properties;
  if (type?.kind === "intersection" || type?.kind === "union") {
    const parts = (type.value as TsType[]).map((part) => propertiesOf(part, symbols));
    return parts.some((part) => part) ? parts.flatMap((part) => part ?? []) : undefined;
  }
  if (type?.kind !== "typeRef") return undefined;
  const { typeName, typeParams } = type.value as { readonly typeName: string; readonly typeParams?: readonly TsType[] };
  if (typeName === "Partial") {
    return propertiesOf(typeParams?.[0], symbols)?.map((property) => ({ ...property, optional: true }));
  }
  if (["Readonly", "Required", "Pick", "Omit"].includes(typeName)) return propertiesOf(typeParams?.[0], symbols);
  for (const { kind, def } of symbols.get(typeName) ?? []) {
    if (kind === "typeAlias") return propertiesOf(def.tsType, symbols);
    if (kind === "interface" && !def.methods?.length) {
      return [
        ...def.properties ?? [],
        ...(def.extends ?? []).flatMap((base) => propertiesOf(base, symbols) ?? []),
      ];
    }
  }
  return undefined;
}
