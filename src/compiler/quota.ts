/**
 * How much processor time the system gives this process: on Linux its control group may have less than there are
 * processors (`docker --cpus`, limits of Kubernetes), and threads that spin then use up what those that compute need.
 * Node 20 does not look at it; libuv does from 1.49 on, as here. Documentation/admin-guide/cgroup-v2.rst ("cpu.max") and
 * Documentation/scheduler/sched-bwc.rst of the kernel. Imports nothing.
 */

/** The text of a file; null where it cannot be read. */
type Read = (path: string) => string | null;

const MOUNT = '/sys/fs/cgroup';

/** A quota of microseconds in each period, as processors; whatever is no limit is Infinity. */
const share = (quota: string | undefined, period: string | undefined): number => {
  const processors = Number(quota) / Number(period);
  return processors > 0 ? processors : Number.POSITIVE_INFINITY;
};

/** A group and those around it. In a container only the outermost may be there, and is the container's own. */
function* groupsAround(path: string): Generator<string> {
  for (let group = path; group !== '' && group !== '/'; group = group.slice(0, group.lastIndexOf('/'))) yield group;
  yield '';
}

/** What version 2 says of a group. */
function unified(read: Read, group: string): number {
  const [quota, period] = (read(`${MOUNT}${group}/cpu.max`) ?? '').split(/\s+/);
  return share(quota, period);
}

/** What version 1 says of a group of the controllers that are mounted together. */
function mounted(read: Read, controllers: string, group: string): number {
  const folder = `${MOUNT}/${controllers}${group}`;
  return share(read(`${folder}/cpu.cfs_quota_us`) ?? undefined, read(`${folder}/cpu.cfs_period_us`) ?? undefined);
}

/** Processors' worth of time that this process is given; Infinity where nothing limits it. */
export function processorsGiven(read: Read): number {
  let given = Number.POSITIVE_INFINITY;
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, group] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || group === undefined) continue;
    if (controllers !== '' && !controllers.split(',').includes('cpu')) continue;
    for (const around of groupsAround(group))
      given = Math.min(given, controllers === '' ? unified(read, around) : mounted(read, controllers, around));
  }
  return given;
}
