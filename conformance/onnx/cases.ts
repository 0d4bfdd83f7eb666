/**
 * What cases a suite of ONNX models holds, in the three layouts that are in use: `CASE/model.onnx` with
 * `test_data_set_N/{input,output}_K.pb`, `CASE/model.onnx` with `io.npz` (tract's), and `light_NAME.onnx` with
 * `light_NAME_output_0.pb` whose input is arange(n) / n.
 */
import type { SuiteFiles } from './files.ts';

/** One set of inputs and expected outputs, as the bytes of files. */
export interface DataSet {
  readonly inputs: readonly Uint8Array[];
  readonly outputs: readonly Uint8Array[];
  /** Arrays by the names of inputs and outputs, in one npz file. */
  readonly npz: Uint8Array | null;
}

export interface SuiteCase {
  readonly name: string;
  readonly model: Uint8Array;
  readonly sets: readonly DataSet[];
  /** Files beside the model that may hold its tensors, by name. */
  readonly beside: ReadonlyMap<string, Uint8Array>;
}

/** Files named PREFIX_0.pb, PREFIX_1.pb, ... in order. */
function numbered(files: SuiteFiles, prefix: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let k = 0; ; k++) {
    const file = files.get(`${prefix}_${k}.pb`);
    if (!file) return found;
    found.push(file);
  }
}

function setsOf(files: SuiteFiles, folder: string): DataSet[] {
  const npz = files.get(`${folder}io.npz`);
  if (npz) return [{ inputs: [], outputs: [], npz }];
  const sets: DataSet[] = [];
  for (let n = 0; ; n++) {
    const prefix = `${folder}test_data_set_${n}/`;
    const outputs = numbered(files, `${prefix}output`);
    if (outputs.length === 0) return sets;
    sets.push({ inputs: numbered(files, `${prefix}input`), outputs, npz: null });
  }
}

/** Files of the model's own folder that are neither models nor test data. */
function besideOf(files: SuiteFiles, folder: string): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [path, bytes] of files) {
    const name = path.slice(folder.length);
    if (path.startsWith(folder) && !/^test_data_set|\.(onnx|pb|npz)$/.test(name)) found.set(name, bytes);
  }
  return found;
}

export function casesOf(files: SuiteFiles): SuiteCase[] {
  const cases: SuiteCase[] = [];
  for (const [path, model] of files) {
    if (!path.endsWith('.onnx')) continue;
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    if (path.endsWith('/model.onnx')) {
      cases.push({
        name: folder.slice(0, -1).replace(/^\.\//, ''),
        model,
        sets: setsOf(files, folder),
        beside: besideOf(files, folder),
      });
      continue;
    }
    const stem = path.slice(0, -'.onnx'.length);
    const outputs = numbered(files, `${stem}_output`);
    if (outputs.length > 0)
      cases.push({
        name: stem.slice(stem.lastIndexOf('/') + 1),
        model,
        sets: [{ inputs: [], outputs, npz: null }],
        beside: new Map(),
      });
  }
  return cases.sort((a, b) => (a.name < b.name ? -1 : 1));
}
