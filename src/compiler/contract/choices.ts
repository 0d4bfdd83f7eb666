/**
 * The few schedules of a dense problem that measuring may prefer to the cost model's: other register tiles, shorter and
 * longer blocks of k, operands packed that would be read in place. Plans only; who measures is `Target.tuner`.
 */
import { bytesOf } from '../../graph/dtype.ts';
import { lanesFor, type Target } from '../target.ts';
import { type PlanChoice, planOf } from './plan.ts';
import { extent, type Problem, type View } from './problem.ts';
import { tileCost } from './tile.ts';

/** Multiply-adds below which a kernel takes less than some 20 microseconds: not worth measuring. */
const WORTH_TUNING = 2_000_000;
/** Register tiles beside the model's, those of least estimated time. */
const OTHER_TILES = 3;
/** Tiles estimated slower by more are not tried. */
const HOPELESS = 1.4;
/** Least points of a block of k. */
const LEAST_POINTS = 64;

const MODEL = 'model';

/** The best tile of each width, best first. */
function tiles(p: Problem, target: Target): { readonly rows: number; readonly vectors: number }[] {
  const lanes = lanesFor(target, bytesOf(p.acc));
  const [m, n] = [extent(p, p.m), extent(p, p.n)];
  const found: { rows: number; vectors: number; cost: number }[] = [];
  for (let vectors = 1; vectors <= Math.max(1, Math.ceil(n / lanes)); vectors++) {
    let best: (typeof found)[number] | null = null;
    for (let rows = 1; rows <= m; rows++) {
      const cost = tileCost(m, n, lanes, rows, vectors, target);
      if (cost === null) break;
      if (!best || cost < best.cost * 0.999) best = { rows, vectors, cost };
    }
    if (!best) break;
    found.push(best);
  }
  found.sort((a, b) => a.cost - b.cost);
  return found.filter(tile => tile.cost <= found[0]!.cost * HOPELESS).map(({ rows, vectors }) => ({ rows, vectors }));
}

/** Choices by name, each with a plan of its own; the model's comes first. */
function planChoices(p: Problem, target: Target): ReadonlyMap<string, PlanChoice> {
  const choices = new Map<string, PlanChoice>();
  const plans = new Set<string>();
  const add = (label: string, choice: PlanChoice): void => {
    const plan = JSON.stringify(planOf(p, target, choice));
    if (plans.has(plan)) return;
    plans.add(plan);
    choices.set(label, choice);
  };
  add(MODEL, {});
  for (const tile of tiles(p, target))
    if (choices.size <= OTHER_TILES) add(`tile ${tile.rows}x${tile.vectors}`, { tile });
  const { length, count } = planOf(p, target).k;
  const half = Math.ceil(length / 2);
  if (half >= LEAST_POINTS) add(`k ${half}`, { points: half });
  if (count > 1) add(`k ${2 * length}`, { points: 2 * length });
  add('packed', { packs: true });
  return choices;
}

/** All that a plan and its speed depend on, but for what exactly the epilogue computes. */
function describe(p: Problem): string {
  const dims = p.dims.map(({ role, size }) => `${role}${size}`).join(' ');
  const view = ({ dtype, lin, base, guards, prologue, packedAhead }: View): string => {
    const at = guards.map(g => `${g.coefs}+${g.offset}<${g.size}`).join(';');
    return `${dtype}[${lin}]+${base}${at && `?${at}`}${prologue ? ' prologue' : ''}${packedAhead ? ' ahead' : ''}`;
  };
  return `${dims} | ${view(p.a)} | ${view(p.b)} | ${p.out.dtype}[${p.out.lin}] ${p.acc}${p.epilogue ? ' epilogue' : ''}`;
}

/** What measuring has chosen for `p`: the model's plan where nobody measures, or where it would not pay. */
export function chosenPlan(p: Problem, target: Target): PlanChoice {
  const products = extent(p, p.batch) * extent(p, p.m) * extent(p, p.n) * extent(p, p.k);
  if (!target.tuner || products < WORTH_TUNING) return {};
  const choices = planChoices(p, target);
  return choices.get(target.tuner.choose(describe(p), [...choices.keys()])) ?? {};
}
