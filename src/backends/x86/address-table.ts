/**
 * The table through which a program's code finds its buffers: one address per buffer of every kernel. What a step of a
 * small model costs is mostly spent here, so addresses are written when they change, and values of a few bytes are
 * copied through memory of the table's own: asking for the address of a fresh array costs more than a whole such
 * program. Knows loop programs and bindings, not code.
 */
import { type Binding, type Place, type ProgramOutline, writtenLeaves } from '../../compiler/program.ts';
import { changes } from '../../graph/changes.ts';
import { bytesOf, type HostArray, hostView } from '../../graph/dtype.ts';
import { deviceWrote, type Variable, whole } from '../../graph/storage.ts';
import { ArgsLayout } from './args-layout.ts';
import type { Machine, NativeBuffer } from './machine.ts';

/** Host values of so many bytes are copied; one such slot is a cache line. */
const SLOT_BYTES = 64;

/** Words that a table has room for at least. */
const ROOM = 1 << 9;

/** Results of so many bytes are given large pages. */
const LONG = 4 << 20;

/** A leaf or an output: where its address stands in the table. */
interface Entry {
  /** Its place among the leaves or outputs. */
  readonly index: number;
  readonly elements: number;
  readonly words: number[];
  /** The slot that its value is copied through if it is small enough, and the slot's address. */
  readonly slot: HostArray | null;
  readonly slotAddress: number;
  /** What the table says now. */
  address: number;
}

/** What a table is told before any kernel. */
type Bound = Pick<ProgramOutline, 'leaves' | 'outputs' | 'preparations'>;

export class AddressTable {
  /** Of the table, as long as it gains no kernels. */
  address = 0;
  private readonly machine: Machine;
  private readonly program: Bound;
  private words = new Uint32Array();
  private readonly layout = new ArgsLayout();
  private readonly leaves: readonly Entry[];
  private readonly outputs: readonly Entry[];
  private readonly written: readonly number[];
  /** What the table holds the variables of, 0 for nothing that lasts; and `changes.moves` when they were placed. */
  private source = 0;
  private moves = 0;
  /** Leaves that were no variables then. */
  private loose: readonly Entry[] = [];
  /** The slot of the only output, where that is small: a loss. */
  private readonly only: HostArray | null;
  /** Whether every output is small. */
  private readonly copiesAll: boolean;
  private readonly arenaWords: (readonly [word: number, offset: number])[] = [];
  private readonly keptWords: (readonly [word: number, offset: number])[] = [];
  /** What is in the table: programs do not keep a workspace that a larger one has replaced. */
  private workspaceAddress = 0;
  private keptAddress = 0;
  /** Bytes of the workspace that the program needs, and those that it has. */
  private arenaBytes: number;
  private room = 0;

  /** A table of no kernels: those that come probably need `arenaBytes` of the workspace. */
  constructor(machine: Machine, program: Bound, arenaBytes: number) {
    this.machine = machine;
    this.program = program;
    this.arenaBytes = arenaBytes;
    const isSmall = (value: Value): boolean => value.elements * bytesOf(value.dtype) <= SLOT_BYTES;
    const slots = machine.allocate([...program.leaves, ...program.outputs].filter(isSmall).length * SLOT_BYTES);
    let at = 0;
    const entry = (value: Value, index: number): Entry => {
      const { dtype, elements } = value;
      if (!isSmall(value)) return { index, elements, words: [], slot: null, slotAddress: 0, address: 0 };
      const { buffer, byteOffset } = slots.view;
      const slot = hostView(dtype, buffer, byteOffset + at, elements);
      const slotAddress = slots.address + at;
      at += SLOT_BYTES;
      return { index, elements, words: [], slot, slotAddress, address: 0 };
    };
    this.leaves = program.leaves.map(entry);
    this.outputs = program.outputs.map(entry);
    this.only = this.outputs.length === 1 ? this.outputs[0]!.slot : null;
    this.copiesAll = program.outputs.every(isSmall);
    this.written = writtenLeaves(program);
    for (const output of this.outputs) if (output.slot) this.point(output, output.slotAddress);
  }

  /** What the table is in: one that has become too short stays as it is for a run that goes on and holds it. */
  get memory(): object {
    return this.words;
  }

  /** Adds the kernels of the program that have come since. */
  extend({ kernels, arenaBytes }: Pick<ProgramOutline, 'kernels' | 'arenaBytes'>): void {
    this.arenaBytes = Math.max(this.arenaBytes, arenaBytes);
    this.source = 0;
    const { layout } = this;
    const { offsets } = layout;
    const first = offsets.length;
    layout.extend(kernels);
    if (layout.bytes / 4 > this.words.length) this.grow(layout.bytes / 4);
    for (let k = first; k < kernels.length; k++) {
      const { places } = kernels[k]!;
      for (let i = 0; i < places.length; i++) this.add(places[i]!, offsets[k]! / 4 + 2 * i);
    }
  }

  /** Where the addresses of each kernel stand in it, in bytes. */
  get offsets(): readonly number[] {
    return this.layout.offsets;
  }

  private grow(needed: number): void {
    const { words } = this;
    const room = Math.max(needed, 2 * words.length, ROOM);
    // Of a buffer of its own: the collector moves short arrays that have none.
    this.words = new Uint32Array(new ArrayBuffer(room * 4));
    this.words.set(words);
    this.address = this.machine.native.addressOf(this.words);
  }

  private add(place: Place, word: number): void {
    if (place.kind === 'count') this.put(word, place.value);
    else if (place.kind === 'arena') {
      this.arenaWords.push([word, place.offset]);
      this.put(word, this.workspaceAddress + place.offset);
    } else if (place.kind === 'kept') {
      this.keptWords.push([word, place.offset]);
      this.put(word, this.keptAddress + place.offset);
    } else {
      const entry = (place.kind === 'leaf' ? this.leaves : this.outputs)[place.index]!;
      entry.words.push(word);
      this.put(word, entry.address);
    }
  }

  private put(word: number, address: number): void {
    this.words[word] = address % 2 ** 32;
    this.words[word + 1] = Math.floor(address / 2 ** 32);
  }

  private point(entry: Entry, address: number): void {
    if (address === entry.address) return;
    entry.address = address;
    for (const word of entry.words) this.put(word, address);
  }

  /** The addresses of so many buffers, from byte `offset` of the table on. */
  addressesAt(offset: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => {
      const word = offset / 4 + 2 * i;
      return this.words[word]! + this.words[word + 1]! * 2 ** 32;
    });
  }

  /**
   * Puts addresses and small values in place; returns the outputs that are written where they are, null for the others.
   */
  place(bindings: readonly Binding[], source: number): readonly (HostArray | null)[] {
    if (source !== 0 && source === this.source && changes.moves === this.moves) this.placeValues(bindings);
    else this.placeAll(bindings, source);
    return this.copiesAll ? NONE : this.placeOutputs();
  }

  private placeAll(bindings: readonly Binding[], source: number): void {
    const { leaves } = this;
    if (bindings.length !== leaves.length)
      throw new Error(`internal: ${bindings.length} bindings came, expected ${leaves.length}`);
    this.source = 0;
    const loose: Entry[] = [];
    for (let i = 0; i < leaves.length; i++) {
      const leaf = leaves[i]!;
      const binding = bindings[i]!;
      // What `instanceof` says for half as much before it is optimised.
      if ('version' in binding) this.point(leaf, this.residence(binding, leaf));
      else loose.push(leaf);
    }
    this.loose = loose;
    this.placeValues(bindings);
    if (this.arenaBytes > 0) this.placeArena();
    if (source === 0) return;
    this.source = source;
    this.moves = changes.moves;
  }

  /** Also where they are what they were: an array may have lost its memory between two runs. */
  private placeValues(bindings: readonly Binding[]): void {
    const { loose } = this;
    for (let k = 0; k < loose.length; k++) {
      const leaf = loose[k]!;
      const { elements, slot } = leaf;
      const value = bindings[leaf.index] as Float32Array;
      if (value.length !== elements) whole(value, elements);
      else if (slot === null) this.point(leaf, this.machine.native.addressOf(value));
      else {
        (slot as Float32Array).set(value);
        if (leaf.address !== leaf.slotAddress) this.point(leaf, leaf.slotAddress);
      }
    }
  }

  private residence(variable: Variable, { index, elements }: Entry): number {
    if (variable.size !== elements)
      throw new Error(`internal: binding ${index} has ${variable.size} elements, expected ${elements}`);
    return this.machine.reside(variable).address;
  }

  private placeOutputs(): readonly (HostArray | null)[] {
    const { machine, outputs } = this;
    const { native } = machine;
    const fresh: (HostArray | null)[] = [];
    for (let i = 0; i < outputs.length; i++) {
      const output = outputs[i]!;
      if (output.slot) fresh.push(null);
      else {
        const array = machine.results.take(this.program.outputs[i]!.dtype, output.elements);
        const address = native.addressOf(array);
        // Its pages are not there yet.
        if (array.byteLength >= LONG) native.preferLargePages(address, array.byteLength);
        this.point(output, address);
        fresh.push(array);
      }
    }
    return fresh;
  }

  private placeArena(): void {
    const { address, bytes } = this.machine.workspace(this.arenaBytes);
    this.room = bytes;
    if (address === this.workspaceAddress) return;
    for (const [word, offset] of this.arenaWords) this.put(word, address + offset);
    this.workspaceAddress = address;
  }

  /** Whether kernels came that need more of the workspace than there is in this run. */
  get isOutgrown(): boolean {
    return this.arenaBytes > this.room;
  }

  /** Has a run that stands still go on in more of it: what has been computed moves along. */
  moveArena(): void {
    const before = this.machine.workspace(0).view;
    this.machine.workspace(this.arenaBytes).view.set(before);
    this.placeArena();
  }

  /** Says where the memory is that outlasts a run. */
  placeKept(kept: NativeBuffer): void {
    this.keptAddress = kept.address;
    for (const [word, offset] of this.keptWords) this.put(word, kept.address + offset);
  }

  /** After a run: marks the variables it wrote, and returns all outputs. `placed` is what `place` returned. */
  collect(bindings: readonly Binding[], placed: readonly (HostArray | null)[]): HostArray[] {
    const { outputs, only } = this;
    deviceWrote(bindings, this.written);
    if (only !== null) return [only.slice()];
    const values: HostArray[] = [];
    for (let i = 0; i < outputs.length; i++) values.push(placed[i] ?? outputs[i]!.slot!.slice());
    return values;
  }
}

/** What `place` gives where all outputs are copied. */
const NONE: readonly HostArray[] = [];

type Value = ProgramOutline['outputs'][number];
