/**
 * Generated clicks: impressions whose click probability a known teacher gives, so that the best possible AUC is known
 * as well.
 */
import { RandomStream } from './random.ts';
import { type Table, tableFromRows } from './table.ts';

export interface Clicks {
  readonly table: Table;
  /** The teacher's own probability of every row: no model can order rows better than these do. */
  readonly probabilities: Float64Array;
}

const USERS = 40;
const ITEMS = 30;
const DIM = 2;
const DEVICES = ['phone', 'tablet', 'desktop'];
const SLOTS = ['top', 'side', 'bottom', 'video'];

/**
 * `rows` impressions: user, item, device, slot (categories), age and price (numbers; 3 % of ages missing), and `click`
 * of 0 or 1. The teacher's logit is a sum of biases, the inner product of a user's and an item's vector (so that
 * factorisation pays), and a parabola in age.
 */
export function generateClicks(rows: number, seed: number): Clicks {
  const taste = new RandomStream(seed, 4);
  const vectors = (count: number): Float64Array[] =>
    Array.from({ length: count }, () => Float64Array.from({ length: DIM }, () => 1.2 * taste.normal()));
  const biases = (count: number, scale: number): number[] =>
    Array.from({ length: count }, () => scale * taste.normal());
  const users = vectors(USERS);
  const items = vectors(ITEMS);
  const itemBias = biases(ITEMS, 0.6);
  const deviceBias = biases(DEVICES.length, 0.4);
  const slotBias = biases(SLOTS.length, 0.6);

  const probabilities = new Float64Array(rows);
  const draw = function* (): Generator<string[]> {
    for (let row = 0; row < rows; row++) {
      const random = new RandomStream(seed, 5, row);
      // Squaring favours low numbers: some users and items are seen far more often than others.
      const user = Math.floor(USERS * random.uniform() ** 2);
      const item = Math.floor(ITEMS * random.uniform() ** 2);
      const device = random.integer(DEVICES.length);
      const slot = random.integer(SLOTS.length);
      const age = 18 + random.integer(60);
      const price = Math.exp(1 + random.normal());
      const match = users[user]!.reduce((sum, u, k) => sum + u * items[item]![k]!, 0);
      const logit =
        -1.2 +
        match +
        itemBias[item]! +
        deviceBias[device]! +
        slotBias[slot]! -
        ((age - 40) / 25) ** 2 -
        0.3 * Math.log(price);
      probabilities[row] = 1 / (1 + Math.exp(-logit));
      const click = random.uniform() < probabilities[row]! ? '1' : '0';
      const shownAge = random.uniform() < 0.03 ? '' : String(age);
      yield [click, `u${user}`, `i${item}`, DEVICES[device]!, SLOTS[slot]!, shownAge, price.toFixed(2)];
    }
  };
  const table = tableFromRows('generated clicks', ['click', 'user', 'item', 'device', 'slot', 'age', 'price'], draw());
  return { table, probabilities };
}
