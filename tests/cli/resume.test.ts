import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { program, startTenon, tenon } from '../support/runTenon.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
// DeepFM has dropout: the random state must survive as well. 16 steps per epoch.
const training = ['train', 'table', '--model', 'deepfm', '--limit', '1000', '--batch', '50', '--epochs', '12'];
const built = existsSync(program) && existsSync(program.replace(/bin.tenon\.js$/, 'dist/node/cli/main.js'));

const checkpoints = (out: string): string[] =>
  existsSync(out)
    ? readdirSync(out)
        .filter(name => /^checkpoint-\d+\.safetensors$/.test(name))
        .sort((a, b) => Number(a.slice(11, -12)) - Number(b.slice(11, -12)))
    : [];

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 5));
}

describe.runIf(built)('a run that is cut short (of the built program: npm run build)', { timeout: 120_000 }, () => {
  let whole: Buffer;

  test('kill -9 in the middle, then --resume: the same weights to the bit', async () => {
    const reference = startTenon(...training, '--out', folder.file('whole'));
    expect(await once(reference, 'exit')).toEqual([0, null]);
    whole = readFileSync(folder.file('whole/model.safetensors'));

    const out = folder.file('killed');
    const killed = startTenon(...training, '--out', out);
    await until(() => checkpoints(out).length >= 2);
    killed.kill('SIGKILL');
    expect(await once(killed, 'exit')).toEqual([null, 'SIGKILL']);
    expect(existsSync(`${out}/model.safetensors`)).toBe(false);

    const resumed = startTenon('train', 'table', '--out', out, '--resume');
    expect(await once(resumed, 'exit')).toEqual([0, null]);
    expect(readFileSync(`${out}/model.safetensors`).equals(whole)).toBe(true);
  });

  test('Ctrl-C: a checkpoint, exit code 130; a damaged checkpoint is refused by name and the one before used', async () => {
    const out = folder.file('interrupted');
    const run = startTenon(...training, '--out', out, '--json');
    let stderr = '';
    run.stderr!.on('data', text => (stderr += text));
    run.stdout!.resume();
    await until(() => checkpoints(out).length >= 2);
    run.kill('SIGINT');
    expect(await once(run, 'exit')).toEqual([130, null]);
    expect(stderr).toMatch(/^tenon: stopped at step \d+; go on with --resume --out [^\n]+\n$/);

    const [before, newest] = checkpoints(out)
      .slice(-2)
      .map(name => `${out}/${name}`) as [string, string];
    const bytes = readFileSync(newest);
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(newest, bytes);
    const resumed = await tenon('train', 'table', '--out', out, '--resume', '--json');
    expect(resumed.code).toBe(0);
    expect(resumed.stderr).toContain(`checkpoint refused: ${newest} is damaged`);
    expect(resumed.stderr).toContain(`resumed from ${before}`);
    expect(resumed.events.at(-1)!['event']).toBe('end');
    expect(readFileSync(`${out}/model.safetensors`).equals(whole)).toBe(true);
  });
});
