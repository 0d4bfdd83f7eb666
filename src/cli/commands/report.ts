/**
 * tenon report: a run's metrics as one HTML page.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { writeAtomic } from '../../formats/index.ts';
import { type MetricLine, reportOf, reportPage } from '../../recsys/report/index.ts';
import { Output } from '../output.ts';
import { readConfig } from '../runFolder.ts';

interface ReportOptions {
  readonly out?: string;
  readonly json?: boolean;
}

export const reportCommand = (): Command =>
  new Command('report')
    .description('Write a page with charts of a run: learning curves, AUC by day, calibration, importance, throughput.')
    .argument('<run>', 'run folder')
    .option('--out <file>', 'the page; default: report.html in the run folder')
    .option('--json', 'one JSON object, with "event":"end"')
    .action((run: string, options: ReportOptions) => {
      const output = new Output(options.json ?? false);
      const config = readConfig(run);
      if (!config) throw new Error(`report: ${run} holds no run`);
      const report = reportOf(path.basename(path.resolve(run)), readMetrics(path.join(run, 'metrics.jsonl')));
      const file = options.out ?? path.join(run, 'report.html');
      const { model, preset, data } = config.options;
      const what = [`tenon ${config.task}`, model ?? preset ?? modelOf(run), data].filter(
        part => typeof part === 'string',
      );
      const page = reportPage(
        report,
        `${what.join(', ')}; written ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`,
      );
      writeAtomic(file, [page]);
      output.event('end', { out: file, charts: report.charts.map(({ title }) => title), facts: report.facts });
      output.say(`${report.charts.length} charts in ${file}`);
    });

/** The model of a streaming run's own config. */
function modelOf(run: string): unknown {
  const file = path.join(run, 'stream.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).model?.model : undefined;
}

function readMetrics(file: string): MetricLine[] {
  if (!existsSync(file)) return [];
  // What stands behind the last line break is being written, or was when its run was killed.
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line, i) => {
      try {
        return JSON.parse(line) as MetricLine;
      } catch (error) {
        throw new Error(`${file}, line ${i + 1} is not JSON: ${(error as Error).message}`, { cause: error });
      }
    });
}
