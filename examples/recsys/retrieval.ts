/**
 * npm run example:recsys -- retrieval
 *
 * MovieTweetings: which film does a user tweet about next? Every user's last film is held out (users of five or more);
 * 50 films are proposed. The films that most users took, item-to-item, two-tower and MIND, each without films the user
 * has had.
 */
import { RandomStream } from 'tenon/data';
import {
  Features,
  ItemToItem,
  type MIND,
  type ModelConfig,
  type SparseBatch,
  type SparseInput,
  type SparseTrainer,
  type TwoTower,
} from 'tenon/recsys';
import { type Finding, interval, SEEDS, train } from './experiment.ts';
import { entry, films, type Rating, ratings } from './movieTweets.ts';

const PROPOSED = 50;
const HISTORY = 20;
const WEEK = 7 * 24 * 3600;

const FEATURES = new Features({
  slots: [
    'item',
    { type: 'hash', name: 'genres' },
    'year',
    { type: 'hash', name: 'history', share: 'item', missing: 'empty' },
    { type: 'hash', name: 'tastes', share: 'genres', missing: 'empty' },
    'week',
  ],
});
const ITEMS = ['item', 'genres', 'year'];

type Example = Readonly<Record<string, string | readonly string[]>>;

interface Request {
  readonly user: Example;
  readonly seen: ReadonlySet<string>;
  readonly history: readonly string[];
  /** What was taken. */
  readonly item: string;
}

interface Task {
  readonly train: readonly Example[];
  readonly test: readonly Request[];
  readonly catalogue: readonly string[];
  readonly itemOf: (item: string) => Example;
  readonly histories: readonly (readonly string[])[];
}

function task(): Task {
  const known = films();
  const itemOf = (item: string): Example => {
    const film = known.get(item);
    return { item, genres: film?.genres ?? [], year: String(film?.year ?? 0) };
  };
  const byUser = new Map<string, Rating[]>();
  for (const rating of ratings()) entry(byUser, rating.user, () => []).push(rating);
  const learnt: Example[] = [];
  const test: Request[] = [];
  const histories: string[][] = [];
  for (const list of byUser.values()) {
    const items = list.map(rating => rating.item);
    const held = list.length >= 5 ? list.length - 1 : list.length;
    histories.push(items.slice(0, held));
    for (const [k, { item, time }] of list.entries()) {
      const history = items.slice(Math.max(0, k - HISTORY), k);
      const user = {
        history,
        tastes: history.flatMap(past => known.get(past)?.genres ?? []),
        week: String(Math.floor(time / WEEK)),
      };
      if (k < held) learnt.push({ ...itemOf(item), ...user });
      else test.push({ user, seen: new Set(items.slice(0, k)), history, item });
    }
  }
  const catalogue = [...new Set(histories.flat())];
  return { train: learnt, test, catalogue, itemOf, histories };
}

const batchesOf = (list: readonly Example[], size: number): SparseBatch[] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    FEATURES.extractAll(list.slice(i * size, (i + 1) * size)),
  );

/** Share of requests whose film is among the best `PROPOSED` of the catalogue by `score`, seen films left out. */
function recall({ test, catalogue }: Task, scores: (request: number) => ArrayLike<number>): number {
  let hits = 0;
  test.forEach(({ seen, item }, r) => {
    const score = scores(r);
    const own = catalogue.indexOf(item);
    if (own < 0) return;
    let better = 0;
    for (let i = 0; i < catalogue.length && better < PROPOSED; i++)
      if ((score[i]! > score[own]! || (score[i] === score[own] && i < own)) && !seen.has(catalogue[i]!)) better++;
    if (better < PROPOSED) hits++;
  });
  return hits / test.length;
}

/** Vectors of a function of the model's input for a list of examples, one row each. */
function vectors(
  trainer: SparseTrainer,
  list: readonly Example[],
  size: number,
  fn: (input: SparseInput) => ReturnType<TwoTower['itemVectors']>,
): Float32Array[] {
  return batchesOf(list, size).flatMap(batch => {
    const out = trainer.outputs(batch, fn);
    const width = out.length / batch.size;
    return Array.from({ length: batch.size }, (_, b) => out.slice(b * width, (b + 1) * width));
  });
}

const BATCH = 512;
const SETTINGS = { dim: 32, hidden: [64], items: ITEMS, temperature: 0.1 };
const MODELS: Readonly<Record<string, { readonly model: ModelConfig; readonly epochs: number }>> = {
  'two-tower': { model: { model: 'twotower', ...SETTINGS }, epochs: 4 },
  MIND: { model: { model: 'mind', ...SETTINGS, history: 'history', length: HISTORY, interests: 2 }, epochs: 4 },
};

function learnt(data: Task, options: { readonly model: ModelConfig; readonly epochs: number }, seed: number): number {
  const order = new RandomStream(seed, 1).permutation(data.train.length);
  // A batch of another size would be another program; what is left over waits for the next seed.
  const examples = [...order].map(i => data.train[i]!).slice(0, data.train.length - (data.train.length % BATCH));
  const trainer = train(batchesOf(examples, BATCH), {
    ...options,
    seed,
    lr: 2e-3,
    rows: { type: 'adagrad', lr: 0.05, initialAccumulator: 0.1 },
    clickLabel: null,
  });
  const model = trainer.model as TwoTower | MIND;
  const items = vectors(trainer, data.catalogue.map(data.itemOf), BATCH, input => model.itemVectors(input));
  const users = vectors(
    trainer,
    data.test.map(({ user }) => user),
    BATCH,
    input => model.userVectors(input),
  );
  const scores = new Float32Array(items.length);
  return recall(data, r => {
    const user = users[r]!;
    items.forEach((item, i) => {
      let best = Number.NEGATIVE_INFINITY;
      // MIND has several vectors per user: the nearest counts.
      for (let from = 0; from < user.length; from += item.length) {
        let dot = 0;
        for (let d = 0; d < item.length; d++) dot += user[from + d]! * item[d]!;
        best = Math.max(best, dot);
      }
      scores[i] = best;
    });
    return scores;
  });
}

export async function retrieval(seeds = SEEDS): Promise<Finding[]> {
  const data = task();
  const counts = new Map<string, number>();
  for (const item of data.histories.flat()) counts.set(item, (counts.get(item) ?? 0) + 1);
  const popularity = data.catalogue.map(item => counts.get(item)!);
  const neighbours = new ItemToItem({ longest: HISTORY });
  for (const history of data.histories) neighbours.update(history.map(Number));
  const place = new Map(data.catalogue.map((item, i) => [BigInt(item), i]));
  const byNeighbours = recall(data, r => {
    const scores = new Float64Array(data.catalogue.length);
    for (const { item, score } of neighbours.recommend(data.test[r]!.history.map(Number), Number.POSITIVE_INFINITY))
      scores[place.get(item)!] = score;
    return scores;
  });
  const results: [string, number[]][] = [
    ['popularity', [recall(data, () => popularity)]],
    ['item-to-item', [byNeighbours]],
    ...Object.keys(MODELS).map((name): [string, number[]] => [name, []]),
  ];
  for (const seed of seeds)
    for (const [name, options] of Object.entries(MODELS)) {
      const value = learnt(data, options, seed);
      console.log(`retrieval seed ${seed} ${name}: recall@${PROPOSED} ${value.toFixed(4)}`);
      results.find(([model]) => model === name)![1].push(value);
    }
  return results.map(([model, values]) => ({
    data: 'MovieTweetings',
    model,
    measure: `recall@${PROPOSED} of ${data.test.length.toLocaleString('en')} users' last films among ${data.catalogue.length.toLocaleString('en')}`,
    value: interval(values),
  }));
}
