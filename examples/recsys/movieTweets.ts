/**
 * MovieTweetings: ratings of films in the order they were tweeted, with what was known at each moment.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { dataFile } from './experiment.ts';

export interface Rating {
  readonly user: string;
  readonly item: string;
  /** 0 to 10 */
  readonly rating: number;
  /** Seconds since 1970. */
  readonly time: number;
}

export interface Film {
  readonly year: number;
  readonly genres: readonly string[];
}

const linesOf = (name: string): string[] =>
  gunzipSync(readFileSync(dataFile(`movietweetings-100k/${name}`)))
    .toString()
    .trim()
    .split('\n');

/** All ratings, oldest first. */
export function ratings(): Rating[] {
  return linesOf('ratings.dat.gz')
    .map(line => {
      const [user, item, rating, time] = line.split('::') as [string, string, string, string];
      return { user, item, rating: Number(rating), time: Number(time) };
    })
    .sort((a, b) => a.time - b.time);
}

/** Films by id. */
export function films(): Map<string, Film> {
  return new Map(
    linesOf('movies.dat.gz').map(line => {
      const [id, title, genres] = line.split('::') as [string, string, string | undefined];
      const year = Number(/\((\d{4})\)\s*$/.exec(title)?.[1] ?? 0);
      return [id, { year, genres: (genres ?? '').split('|').filter(genre => genre !== '') }];
    }),
  );
}

/** Mean of what came so far, drawn towards a prior while little has come. */
export class RunningMean {
  count = 0;
  private sum = 0;

  mean(prior: number, weight: number): number {
    return (this.sum + weight * prior) / (this.count + weight);
  }

  add(value: number): void {
    this.sum += value;
    this.count++;
  }
}

/** The entry of a key, made at first use. */
export function entry<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
