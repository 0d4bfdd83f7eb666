/**
 * What `npm run docs:api` reads and refuses: every entry point of the package, whose functions, classes, constants and methods must say what they are
 * and whose links must lead somewhere.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const { exports: published } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));

/** Types that stand in public signatures and are nobody's to name: parts of published models, storage of tables, schemas of file formats. */
const internal = {
  backing: [
    'Backing',
    'Cell',
    'InitialValues',
    'Layout',
    'Node',
    'RowGradient',
    'RowRule',
    'RowStore',
    'SignIndex',
    'SignOwner',
    'TableSettings',
  ],
  files: ['Described', 'Files', 'GraphNode', 'Json', 'Library', 'ModelProto', 'ProgramDesc', 'Weights'],
  models: [
    ...['BertEmbeddings', 'BertEncoder', 'BertOnlyMLMHead', 'BertPooler', 'Block', 'FullConfig', 'LlamaDecoderLayer'],
    ...['BlockShape', 'DoubleConv', 'Down', 'Encoder', 'OutConv', 'Up', 'Extraction', 'Heads', 'TableForward'],
  ],
  settings: [
    'Extractor',
    'LinearPart',
    'GateWeights',
    'Geometry',
    'Hyper',
    'MODELS',
    'POOLINGS',
    'RankedRow',
    'Scalar',
    'SlotBase',
    'State',
  ],
};

export default {
  name: 'Tenon',
  entryPoints: Object.keys(published)
    .filter(name => !name.endsWith('.json'))
    .map(name => fileURLToPath(new URL(`src/${name}/index.ts`, root))),
  tsconfig: fileURLToPath(new URL('tsconfig.build.json', root)),
  plugin: ['./names.mjs'],
  out: 'out',
  readme: fileURLToPath(new URL('README.md', root)),
  includeVersion: true,
  excludePrivate: true,
  excludeInternal: true,
  requiredToBeDocumented: ['Function', 'Class', 'Variable', 'Method'],
  validation: { notExported: true, invalidLink: true, invalidPath: true, rewrittenLink: true, notDocumented: true },
  intentionallyNotExported: Object.values(internal).flat(),
  treatWarningsAsErrors: true,
};
