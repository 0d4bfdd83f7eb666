/**
 * Real brokers for tests: Debian's redis-server and nats-server on free ports of loopback, with their data in a folder,
 * so that they can be stopped and started again with what they had.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { onTestFinished } from 'vitest';

const paths = (name: string): string =>
  ['/usr/bin', '/usr/sbin'].map(folder => `${folder}/${name}`).find(existsSync) ?? '';

/** Why a broker cannot be tested, '' when it can. */
export const brokerMissing = (name: 'redis-server' | 'nats-server'): string =>
  paths(name) ? '' : `${name} is missing: apt-get install ${name}`;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves when `server` listens; false when it has ended (somebody else took the port first). */
async function listening(server: ChildProcess, port: number): Promise<boolean> {
  for (const begin = performance.now(); ; await new Promise(resolve => setTimeout(resolve, 20))) {
    const socket = connect(port, '127.0.0.1');
    const outcome = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (server.exitCode !== null) return false;
    if (outcome) return true;
    if (performance.now() > begin + 20_000) throw new Error(`nothing listens on port ${port} after 20 s`);
  }
}

export interface TestBroker {
  readonly url: string;
  start(): Promise<void>;
  /** Ends the server as a crash would; what it holds is on disk. */
  stop(): Promise<void>;
}

/** A broker that is started; ended with the test. `more`: further arguments of its server. */
export async function testBroker(
  name: 'redis-server' | 'nats-server',
  folder: string,
  ...more: readonly string[]
): Promise<TestBroker> {
  mkdirSync(folder, { recursive: true });
  let port = await freePort();
  const args = (): readonly (string | number)[] =>
    name === 'redis-server'
      ? [
          '--port',
          port,
          '--bind',
          '127.0.0.1',
          '--dir',
          folder,
          '--appendonly',
          'yes',
          '--appendfsync',
          'always',
          '--save',
          '',
        ]
      : ['-js', '-sd', folder, '-a', '127.0.0.1', '-p', port];
  let child: ChildProcess | null = null;
  const started = async (): Promise<boolean> => {
    child = spawn(paths(name), [...args().map(String), ...more], { stdio: 'ignore' });
    return listening(child, port);
  };
  const broker: TestBroker = {
    get url() {
      return `${name === 'redis-server' ? 'redis' : 'nats'}://127.0.0.1:${port}`;
    },
    start: async () => {
      if (!(await started())) throw new Error(`${name} ended while it started on port ${port}`);
    },
    stop: async () => {
      if (!child || child.exitCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
      child = null;
    },
  };
  onTestFinished(() => broker.stop());
  for (let tries = 1; !(await started()); tries++) {
    if (tries === 5) throw new Error(`${name} ended five times while it started`);
    port = await freePort();
  }
  return broker;
}
