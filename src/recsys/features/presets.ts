/**
 * Feature specs of public logs, as their papers and baselines use them.
 */
import type { FeatureSpec } from './spec.ts';

/**
 * Criteo's click logs: 26 hashed categories and 13 counts as ln(1 + x); the label is `label`. Columns as the format
 * 'criteo' names them.
 */
export const criteoFeatures = (): FeatureSpec => ({
  labels: ['label'],
  dense: [{ name: 'I', numbered: [1, 13], log1p: true }],
  slots: [{ type: 'hash', name: 'C', numbered: [1, 26] }],
});

/**
 * Avazu's click logs: every column but id a hashed category, `hour` (YYMMDDHH) the hour of the day; the label is
 * `click`.
 */
export const avazuFeatures = (): FeatureSpec => ({
  labels: ['click'],
  slots: [
    { type: 'hash', name: 'hour', part: [-2] },
    ...'C1 banner_pos site_id site_domain site_category app_id app_domain app_category'.split(' '),
    ...'device_id device_ip device_model device_type device_conn_type'.split(' '),
    { type: 'hash', name: 'C', numbered: [14, 21] },
  ],
});
