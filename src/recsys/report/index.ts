/**
 * Reports: a run's metrics as one HTML page with charts. May read the events of streams; knows no tensors.
 */
export { reportPage } from './page.ts';
export { type Chart, type Fact, type MetricLine, type Report, reportOf, type Series } from './report.ts';
