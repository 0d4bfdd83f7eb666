/**
 * What a conformance run says: one result per case, and the tables and the closing line that every subcommand prints
 * from them.
 */

export interface CaseResult {
  /** What the case is counted under: an operator, a model. */
  readonly op: string;
  /** The case within it. */
  readonly name: string;
  readonly outcome: 'pass' | 'fail' | 'skip';
  /** Why it failed or was skipped, in a line; empty when it passed. */
  readonly reason: string;
}

export interface ReportOptions {
  /** A table of all operators. */
  readonly byOp?: boolean;
  /** A line for every case that failed. */
  readonly listFailing?: boolean;
}

const count = (results: readonly CaseResult[], outcome: CaseResult['outcome']): number =>
  results.filter(result => result.outcome === outcome).length;

/** Results of each operator, in order of first appearance. */
function byOperator(results: readonly CaseResult[]): Map<string, CaseResult[]> {
  const groups = new Map<string, CaseResult[]>();
  for (const result of results) groups.set(result.op, [...(groups.get(result.op) ?? []), result]);
  return groups;
}

/** How often each reason to skip stands, the most frequent first. */
function skipTable(results: readonly CaseResult[]): string[] {
  const reasons = new Map<string, number>();
  for (const { outcome, reason } of results)
    if (outcome === 'skip') reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  return [...reasons].sort(([, a], [, b]) => b - a).map(([reason, n]) => `${String(n).padStart(6)}  ${reason}`);
}

/**
 * Prints what was asked for, the table of skips, and `N passed, N failed, N skipped`. Sets the exit status when a case
 * failed.
 */
export function printReport(results: readonly CaseResult[], { byOp, listFailing }: ReportOptions): void {
  if (byOp)
    for (const [op, group] of [...byOperator(results)].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const first = group.find(result => result.outcome === 'fail');
      const skips = count(group, 'skip');
      console.log(
        `${String(count(group, 'pass')).padStart(4)} of ${String(group.length).padEnd(4)} ${op}` +
          `${skips > 0 ? ` (${skips} skipped)` : ''}${first ? `  first: ${first.name} ${first.reason}` : ''}`,
      );
    }
  if (listFailing)
    for (const { op, name, outcome, reason } of results)
      if (outcome === 'fail') console.log(`FAIL ${op} ${name}  ${reason}`);
  const skips = skipTable(results);
  if (skips.length > 0) console.log(['skipped, and why:', ...skips].join('\n'));
  const failed = count(results, 'fail');
  console.log(`${count(results, 'pass')} passed, ${failed} failed, ${count(results, 'skip')} skipped`);
  if (failed > 0) process.exitCode = 1;
}
