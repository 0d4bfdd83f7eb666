/**
 * Which build of the core this is: a hash of its code, put here by the build for Node (packaging/bundle.mjs). What is
 * kept from one process for another must come from the same build, so where there is none (sources, browsers) nothing
 * is kept.
 */
const BUILD: string = 'not a build';

export const buildHash = (): string | null => (BUILD.includes(' ') ? null : BUILD);
