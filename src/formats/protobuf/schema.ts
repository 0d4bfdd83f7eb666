/**
 * Protobuf messages described by tables: which fields a message has and what each is on the wire. One table drives
 * reading and writing.
 */

/** Bytes that stay in the file until somebody asks for them. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

/**
 * `size` is an int64 that counts something and fits a number, `int64` keeps all 64 bits in a bigint, `range` stays in
 * the file.
 */
export type Scalar = 'size' | 'int32' | 'int64' | 'uint64' | 'float' | 'double' | 'string' | 'bytes' | 'range';

export interface Field {
  readonly name: string;
  /** A scalar, or the name of a message. */
  readonly type: string;
  readonly repeated: boolean;
  /** A single scalar that is null when absent instead of zero. */
  readonly optional: boolean;
}

const ZEROS: { readonly [S in Scalar]: unknown } = {
  size: 0,
  int32: 0,
  int64: 0n,
  uint64: 0n,
  float: 0,
  double: 0,
  string: '',
  bytes: new Uint8Array(0),
  range: null,
};

/**
 * Per message, `number: 'name type'`, with `[]` after the type of repeated fields and `?` after that of nullable
 * scalars.
 */
export type Described<Messages> = { readonly [M in keyof Messages]: Readonly<Record<number, string>> };

export class Schema<Messages extends object> {
  private readonly messages: ReadonlyMap<string, ReadonlyMap<number, Field>>;

  constructor(described: Described<Messages>) {
    this.messages = new Map(
      Object.entries<Readonly<Record<number, string>>>(described).map(([message, fields]) => [
        message,
        new Map(Object.entries(fields).map(([number, text]) => [Number(number), fieldOf(text)])),
      ]),
    );
  }

  /** Fields of a message, by number. */
  fields(message: string): ReadonlyMap<number, Field> {
    return this.messages.get(message)!;
  }

  isMessage(type: string): boolean {
    return this.messages.has(type);
  }

  /** A message with every field absent. */
  empty(message: string): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    for (const { name, type, repeated, optional } of this.fields(message).values()) {
      if (repeated) values[name] = [];
      else values[name] = optional || this.isMessage(type) ? null : ZEROS[type as Scalar];
    }
    return values;
  }
}

function fieldOf(text: string): Field {
  const [name, type] = text.split(' ') as [string, string];
  return { name, type: type.replace(/[[\]?]/g, ''), repeated: type.endsWith('[]'), optional: type.endsWith('?') };
}
