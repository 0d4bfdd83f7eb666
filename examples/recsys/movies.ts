/**
 * npm run example:recsys -- movies
 *
 * MovieTweetings: does a user rate a film 8 or more? The first 80 % of the ratings by time are learnt from, the last 20
 * % judge. What a user and a film have got so far is known at each rating; no feature looks ahead.
 */

import { RandomStream } from 'tenon/data';
import { Features, type ModelConfig, type RowOptimizer, type SparseBatch } from 'tenon/recsys';
import { areaOf, type Finding, interval, SEEDS, train } from './experiment.ts';
import { entry, films, RunningMean, ratings } from './movieTweets.ts';

const FEATURES = new Features({
  slots: [
    'user',
    'item',
    { type: 'hash', name: 'genres', separator: '|' },
    {
      type: 'bucket',
      name: 'decade',
      from: 'year',
      boundaries: [1940, 1960, 1970, 1980, 1990, 1995, 2000, 2005, 2008, 2010, 2011, 2012, 2013],
    },
    { type: 'bucket', name: 'seen', from: 'userCount', boundaries: [1, 2, 3, 5, 8, 15, 30, 60] },
    { type: 'bucket', name: 'shown', from: 'itemCount', boundaries: [1, 2, 3, 5, 10, 20, 50, 100, 200] },
    { type: 'bucket', name: 'userLevel', from: 'userMean', boundaries: [-2, -1.2, -0.7, -0.35, 0, 0.35, 0.7, 1.2, 2] },
    { type: 'bucket', name: 'itemLevel', from: 'itemMean', boundaries: [-2, -1.2, -0.7, -0.35, 0, 0.35, 0.7, 1.2, 2] },
  ],
  dense: [
    'userMean',
    'itemMean',
    'genreMean',
    { name: 'userSeen', from: 'userCount', log1p: true },
    { name: 'itemSeen', from: 'itemCount', log1p: true },
  ],
  labels: ['liked'],
});

interface Example {
  readonly [column: string]: string | number;
}

/** Examples in the order of time, each with what was known before it. */
function examples(): Example[] {
  const known = films();
  const users = new Map<string, RunningMean>();
  const items = new Map<string, RunningMean>();
  const tastes = new Map<string, RunningMean>();
  const all = new RunningMean();
  const make = (): RunningMean => new RunningMean();
  return ratings().map(({ user, item, rating }) => {
    const film = known.get(item) ?? { year: 0, genres: [] };
    const mean = all.mean(7.3, 100);
    const ofUser = entry(users, user, make);
    const ofItem = entry(items, item, make);
    const ofGenres = film.genres.map(genre => entry(tastes, `${user} ${genre}`, make));
    const taste = ofGenres.reduce((sum, genre) => sum + genre.mean(0, 3), 0) / Math.max(1, ofGenres.length);
    const example = {
      user,
      item,
      genres: film.genres.join('|'),
      year: film.year,
      userMean: ofUser.mean(0, 3),
      itemMean: ofItem.mean(0, 3),
      genreMean: taste,
      userCount: ofUser.count,
      itemCount: ofItem.count,
      liked: rating >= 8 ? 1 : 0,
    };
    const surprise = rating - mean - example.itemMean;
    ofUser.add(surprise);
    ofItem.add(rating - mean - example.userMean);
    for (const genre of ofGenres) genre.add(surprise - example.userMean);
    all.add(rating);
    return example;
  });
}

const batchesOf = (list: readonly Example[], size: number): SparseBatch[] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    FEATURES.extractAll(list.slice(i * size, (i + 1) * size)),
  );

const rows = (lr: number): RowOptimizer => ({ type: 'adagrad', lr, initialAccumulator: 0.1 });
const MODELS: Readonly<
  Record<string, { readonly model: ModelConfig; readonly epochs: number; readonly rows: RowOptimizer }>
> = {
  'logistic regression': { model: { model: 'lr' }, epochs: 3, rows: rows(0.05) },
  FM: { model: { model: 'fm', dim: 8 }, epochs: 3, rows: rows(0.05) },
  DeepFM: { model: { model: 'deepfm', dim: 8, hidden: [64, 32], dropout: 0.2 }, epochs: 3, rows: rows(0.03) },
  'DCN-V2': {
    model: { model: 'dcnv2', dim: 8, hidden: [64, 32], crosses: 2, dropout: 0.2 },
    epochs: 3,
    rows: rows(0.03),
  },
};

export async function movies(seeds = SEEDS): Promise<Finding[]> {
  const list = examples();
  const split = Math.floor(0.8 * list.length);
  const test = batchesOf(list.slice(split), 256);
  const areas = new Map(Object.keys(MODELS).map(name => [name, [] as number[]]));
  for (const seed of seeds) {
    const order = new RandomStream(seed, 1).permutation(split);
    const batches = batchesOf(
      [...order].map(i => list[i]!),
      256,
    );
    for (const [name, options] of Object.entries(MODELS)) {
      const area = areaOf(train(batches, { ...options, seed }), test);
      console.log(`movies seed ${seed} ${name}: AUC ${area.toFixed(4)}`);
      areas.get(name)!.push(area);
    }
  }
  return [...areas].map(([model, values]) => ({
    data: 'MovieTweetings',
    model,
    measure: 'AUC (rating of 8 or more), last 20 % by time',
    value: interval(values),
  }));
}
