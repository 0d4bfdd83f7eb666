/**
 * Turns two chunks of the build for Node into scripts that src/launch/load.ts compiles from V8's code cache:
 *
 *   core.cjs    what a first result needs: every process starts it
 *   later.cjs   the rest of the layers up to the Tensor API: the first call of one of its functions starts it
 *
 * Other modules import both from chunks/core.js. There, and in the core, a function of `later` is one of the same name that starts the script and passes
 * the call on; so all that `later` shows to others must be functions, or namespaces of functions.
 */
import { createHash } from 'node:crypto';
import { parseAst } from 'rolldown/parseAst';

/** What stands in the sources (src/launch/build.ts) for the hash of both scripts. */
const BUILD = 'not a build';

/** The bundler's helper that makes namespaces. It takes 400 us for those of the core, of which literals without a prototype take 60. */
const HELPER = '__exportAll';
const NAMESPACE = `const namespace$ = members => Object.defineProperty(members, Symbol.toStringTag, { value: 'Module' });`;
const namespaceText = members =>
  `namespace$({ __proto__: null, ${members.map(({ name, inside }) => `get ${name}() { return ${inside}; }`).join(', ')} })`;

/** @param starter the code of src/launch/load.ts */
export function scripts(starter) {
  return {
    name: 'scripts',
    generateBundle(_, chunks) {
      const named = name => Object.values(chunks).find(chunk => chunk.name === name);
      const [coreChunk, laterChunk] = [named('core'), named('later')];
      const [core, later] = [read(coreChunk), read(laterChunk)];
      const shown = shownOf(later, core);
      delete chunks[laterChunk.fileName];
      const others = Object.values(chunks).filter(chunk => chunk.type === 'chunk' && chunk !== coreChunk);
      const imported = new Set(others.flatMap(chunk => importedFromCore(chunk, shown)));
      const { text, names } = coreScript(core, later, shown, imported);
      const texts = { core: text, later: laterScript(later, names) };
      const hash = createHash('sha256').update(texts.core).update(texts.later).digest('hex').slice(0, 16);
      for (const [name, code] of Object.entries(texts))
        this.emitFile({ type: 'asset', fileName: `chunks/${name}.cjs`, source: code.replace(BUILD, hash) });
      coreChunk.code = startingModule(read(starter), [...imported], hash);
    },
  };
}

/** The module that starts the core and exports what it gives: one file with src/launch/load.ts, because each file that Node loads costs a millisecond. */
const startingModule = ({ imports, body, exports: [load] }, names, hash) => `${importsOf(imports)}
const load$ = (() => {
${body}
return ${load.inside};
})();
export const { ${names.join(', ')} } = load$(new URL('./core.cjs', import.meta.url), '${hash}');
`;

/** A chunk's statements, what it imports from where, what it exports, and which of its names are functions, namespaces or variables. */
function read({ code, fileName }) {
  const [imports, exports, kinds] = [new Map(), [], new Map()];
  let [body, end] = ['', 0];
  const replace = ({ start, end: after }, text) => {
    body += code.slice(end, start) + text;
    end = after;
  };
  for (const node of parseAst(code).body) {
    if (node.type === 'FunctionDeclaration') kinds.set(node.id.name, { isFunction: true });
    else if (node.type === 'VariableDeclaration')
      for (const { id, init } of node.declarations) {
        const kind = kindOf(init, node.kind);
        kinds.set(id.name, kind);
        if (kind.members) replace(init, namespaceText(kind.members));
      }
    else if (node.type === 'ImportDeclaration') {
      const names = node.specifiers.map(({ imported, local }) => ({ outside: imported.name, inside: local.name }));
      imports.set(node.source.value, names);
      replace(node, '');
    } else if (node.type === 'ExportNamedDeclaration') {
      exports.push(...node.specifiers.map(({ local, exported }) => ({ inside: local.name, outside: exported.name })));
      replace(node, '');
    }
  }
  const variables = exports.filter(({ inside }) => kinds.get(inside)?.changes);
  if (variables.length > 0) refuse(fileName, 'exports variables, of which scripts give the first value', variables);
  return { body: body + code.slice(end), imports, exports, kinds, fileName };
}

/** What a declared name stands for: a function, a namespace with its members, a variable, or a value. */
function kindOf(init, declared) {
  if (declared === 'let') return { changes: true };
  if (init?.type === 'ArrowFunctionExpression' || init?.type === 'FunctionExpression') return { isFunction: true };
  if (init?.type !== 'CallExpression' || init.callee.name !== HELPER) return {};
  const members = init.arguments[0].properties;
  return { members: members.map(({ key, value }) => ({ name: key.name ?? key.value, inside: value.body.name })) };
}

function refuse(fileName, why, names) {
  throw new Error(`bundle: ${fileName} ${why}: ${names.map(({ inside }) => inside).join(', ')}`);
}

/** What `later` exports. A name that the core exports too has another outside of the scripts. */
function shownOf(later, core) {
  const taken = new Set(core.exports.map(({ outside }) => outside));
  return later.exports.map(({ inside, outside: name }) => ({
    inside,
    name,
    outside: taken.has(name) ? `later$${name}` : name,
  }));
}

/** The script of the core: a function of the module's URL and of what starts `later`, which returns what other modules import. */
function coreScript(core, later, shown, imported) {
  const insideCore = new Map(core.exports.map(({ inside, outside }) => [outside, inside]));
  const laterImports = later.imports.get('./core.js');
  const fromCore = new Map(laterImports.map(({ inside, outside }) => [inside, insideCore.get(outside)]));
  const [functions, values, namespaces] = [new Set(), new Set(), new Map()];
  /** What stands in the core for a name of `later`; for members of namespaces it may be any value, as they are asked for one by one. */
  const standIn = (inside, isMember = false) => {
    const { isFunction, members } = later.kinds.get(inside) ?? {};
    const name = `later$${inside}`;
    if (fromCore.has(inside)) return fromCore.get(inside);
    if (isFunction) functions.add(inside);
    else if (isMember && !members) {
      values.add(inside);
      return `later$().${inside}`;
    } else if (!members)
      refuse(
        later.fileName,
        'may export functions and namespaces alone (LATER of bundle.mjs says which modules it has)',
        [{ inside }],
      );
    else if (!namespaces.has(name)) {
      const shownMembers = members.map(member => ({ name: member.name, inside: standIn(member.inside, true) }));
      namespaces.set(name, namespaceText(shownMembers));
    }
    return name;
  };
  const insideLater = new Map(shown.map(({ name, inside }) => [name, inside]));
  const used = core.imports.get('./later.js').map(({ outside, inside }) => [inside, standIn(insideLater.get(outside))]);
  const given = [
    ...core.exports.map(({ inside, outside }) => [outside, inside]),
    ...shown.filter(({ outside }) => imported.has(outside)).map(({ inside, outside }) => [outside, standIn(inside)]),
  ];
  const constants = [...namespaces, ...used].map(([name, value]) => `const ${name} = ${value};`);
  const text = `(function (moduleUrl, startLater) {
"use strict";
${NAMESPACE}
let started$;
const later$ = () => started$ ??= startLater({ ${laterImports.map(({ outside }) => `${outside}: ${insideCore.get(outside)}`).join(', ')} });
${[...functions].map(name => `function later$${name}(...args) { return later$().${name}(...args); }`).join('\n')}
${constants.join('\n')}
${core.body}
return { __proto__: null, ${given
    .filter(([name]) => imported.has(name))
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ')} };
})`;
  return { text: scriptText(text), names: [...functions, ...values] };
}

/** The script of the rest: a function of what it imports from the core, which returns what the core asks it for. */
function laterScript(later, names) {
  const imports = later.imports.get('./core.js').map(({ outside, inside }) => `${outside}: ${inside}`);
  return scriptText(`(function (core, moduleUrl) {
"use strict";
${NAMESPACE}
const { ${imports.join(', ')} } = core;
${later.body}
return { ${names.join(', ')} };
})`);
}

/** Plain ASCII is read without decoding. */
const scriptText = code =>
  code
    .replaceAll('import.meta.url', 'moduleUrl')
    .replace(/[^\0-\x7f]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Imports as text. */
const importsOf = imports =>
  [...imports].map(([from, names]) => `import { ${pairs(names)} } from ${JSON.stringify(from)};`).join('\n');

const pairs = names =>
  names.map(({ outside, inside }) => (outside === inside ? inside : `${outside} as ${inside}`)).join(', ');

/** What a module imports from the core. What it imports from `later` it shall import from there too. */
function importedFromCore(chunk, shown) {
  const outsideOf = new Map(shown.map(({ name, outside }) => [name, outside]));
  const found = [];
  chunk.code = chunk.code.replace(/^import \{([^{}]*)\} from "(.*)\/(core|later)\.js";$/gm, (_, list, folder, from) => {
    const names = list.split(',').map(item => {
      const [name, inside = name] = item.trim().split(' as ');
      return { outside: from === 'later' ? outsideOf.get(name) : name, inside };
    });
    found.push(...names.map(({ outside }) => outside));
    return `import { ${pairs(names)} } from "${folder}/core.js";`;
  });
  return found;
}
