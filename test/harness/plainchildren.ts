/**
 * Loaded behind tap's own hooks (.taprc): processes that a test starts are what they are without a test. tap would load its
 * hooks for coverage, which nobody asks for here, into every Node among them by NODE_OPTIONS, and that takes longer than
 * most of our commands. It does so by process-on-spawn, whose state is one for the process and knows the way back.
 */

interface SpawnHooks {
  unwrap(): void;
}

const KEY = Symbol.for("process-on-spawn@*:singletonId");

const hooks = (globalThis as { [KEY]?: SpawnHooks })[KEY];
hooks?.unwrap();
delete process.env.NODE_OPTIONS;
