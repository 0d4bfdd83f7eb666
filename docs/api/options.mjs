/**
 * The public calls that take an object of settings, as their types show them: functions, constructors and methods of every entry point. tests/options.test.ts
 * makes each of them with a misspelt name.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { exports: published } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const entries = Object.keys(published)
  .filter(name => name !== './package.json')
  .map(name => path.join(root, 'src', name, 'index.ts'));

/**
 * @typedef {object} OptionCall
 * @property {string} entry file of the entry point
 * @property {string[]} names way from there: ['F', 'pad'], ['Tensor', 'prototype', 'sum']
 * @property {boolean} constructed whether it is called with `new`
 * @property {string[]} before printed types of the arguments before the settings
 */

/** Settings are an object that can be left out or is called so (or a model's configuration); a type of data that happens to be last is neither. */
const isSettings = (checker, symbol, type) =>
  !type.isUnion() &&
  !checker.isArrayType(type) &&
  checker.getPropertiesOfType(type).length > 0 &&
  type.getCallSignatures().length === 0 &&
  (/^(options|settings|config|shape)$/i.test(symbol.name) ||
    checker.getPropertiesOfType(type).every(property => property.flags & ts.SymbolFlags.Optional));

/** The object of a type of settings of which one may come alone, a number or a text; any other type as it is. */
function named(checker, type) {
  const objects = type.isUnion() ? type.types.filter(part => part.flags & ts.TypeFlags.Object) : [];
  const plain = ts.TypeFlags.NumberLike | ts.TypeFlags.StringLike;
  return objects.length === 1 &&
    !checker.isArrayType(objects[0]) &&
    type.types.every(part => part === objects[0] || part.flags & plain)
    ? objects[0]
    : type;
}

/** @returns {OptionCall[]} */
export function optionCalls() {
  const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram(entries, { ...options, noEmit: true });
  const checker = program.getTypeChecker();
  const calls = [];

  const note = (entry, names, signature, constructed) => {
    const parameters = signature.getParameters().map(symbol => ({
      symbol,
      type: named(
        checker,
        checker.getNonNullableType(checker.getTypeOfSymbolAtLocation(symbol, symbol.valueDeclaration)),
      ),
    }));
    const at = parameters.findLastIndex(({ symbol, type }) => isSettings(checker, symbol, type));
    if (at < 0 || !signature.declaration?.getSourceFile().fileName.startsWith(path.join(root, 'src'))) return;
    const before = parameters.slice(0, at).map(({ type }) => checker.typeToString(type));
    calls.push({ entry, names, constructed, before });
  };

  const walk = (entry, names, exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declaration = symbol.valueDeclaration;
    if (!declaration) return;
    if (ts.isSourceFile(declaration)) {
      for (const inner of checker.getExportsOfModule(symbol)) walk(entry, [...names, inner.name], inner);
      return;
    }
    const type = checker.getTypeOfSymbolAtLocation(symbol, declaration);
    for (const signature of type.getCallSignatures()) note(entry, names, signature, false);
    if (!(symbol.flags & ts.SymbolFlags.Class)) return;
    if (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Abstract) return;
    for (const signature of type.getConstructSignatures()) note(entry, names, signature, true);
    for (const member of checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))) {
      const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
      if (
        !(member.flags & ts.SymbolFlags.Method) ||
        member.valueDeclaration.name.kind === ts.SyntaxKind.PrivateIdentifier
      )
        continue;
      if (ts.getCombinedModifierFlags(member.valueDeclaration) & hidden) continue;
      for (const signature of checker.getTypeOfSymbolAtLocation(member, declaration).getCallSignatures())
        note(entry, [...names, 'prototype', member.name], signature, false);
    }
  };

  for (const entry of entries)
    for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry))))
      walk(entry, [exported.name], exported);
  return calls;
}
