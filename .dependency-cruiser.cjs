// The layers of src/ and the arrows between them. `npm run layers` fails where an import goes against one.
//
//   core ← driver ← drivers/*          core ← observe
//   core, driver, observe ← client ← worker ← events, schedules
//   http, testing and cli sit on top; connect.ts and the entry points put everything together

/** What a folder of src/ may import, besides itself. Everything not named is refused. */
const LAYERS = {
  core: [],
  driver: ['core'],
  observe: ['core'],
  client: ['core', 'driver', 'observe'],
  worker: ['client', 'core', 'driver', 'observe'],
  events: ['worker', 'client', 'core', 'driver', 'observe'],
  schedules: ['worker', 'client', 'core', 'driver', 'observe'],
}

const TESTS = '[.]test[.]ts$'

const layers = Object.entries(LAYERS).map(([layer, below]) => ({
  name: `layer-${layer}`,
  comment: `src/${layer} imports ${below.length ? `${below.join(', ')} and itself` : 'itself'}, and nothing else of src.`,
  severity: 'error',
  from: { path: `^src/${layer}/`, pathNot: TESTS },
  to: { path: '^src/', pathNot: `^src/(${[layer, ...below].join('|')})/` },
}))

module.exports = {
  forbidden: [
    ...layers,
    {
      name: 'layer-drivers',
      comment: 'A driver knows core, the seam and its own folder: no client, no worker, no other driver.',
      severity: 'error',
      from: { path: '^src/drivers/([^/]+)/', pathNot: TESTS },
      to: { path: '^src/', pathNot: '^src/(core|driver|drivers/$1)/' },
    },
    {
      name: 'drivers-only-by-name-in-connect',
      comment: 'Only connect.ts, the entry points, testing and cli know drivers by name.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/drivers/', '^src/(connect|index)[.]ts$', '^src/(testing|cli)/', TESTS] },
      to: { path: '^src/drivers/' },
    },
    {
      name: 'drivers-lazily-in-connect',
      comment: 'A program pays for the driver it uses: connect.ts imports drivers when a URL names them, not before.',
      severity: 'error',
      from: { path: '^src/(connect|index)[.]ts$' },
      to: { path: '^src/drivers/', dependencyTypesNot: ['dynamic-import', 'type-only'] },
    },
    {
      name: 'nothing-above-the-top',
      comment: 'Nobody inside the library imports what sits on top of it.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(http|testing|cli)/', TESTS] },
      to: { path: '^src/(http|testing|cli)/' },
    },
    {
      name: 'layer-http',
      comment: 'The gateway is a user of the client: no driver by name, no worker, no command line.',
      severity: 'error',
      from: { path: '^src/http/', pathNot: TESTS },
      to: { path: '^src/', pathNot: '^src/((core|driver|client|observe|http)/|connect[.]ts$)' },
    },
    {
      name: 'hono-in-http',
      comment: 'Who does not open a gateway loads no web framework.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(http|cli)/' },
      to: { path: '^node_modules/(hono|@hono)/' },
    },
    {
      name: 'top-side-by-side',
      comment: 'What ships to users for their tests does not lean on the command line.',
      severity: 'error',
      from: { path: '^src/testing/', pathNot: TESTS },
      to: { path: '^src/cli/' },
    },
    {
      name: 'entry-points-are-leaves',
      comment: 'src/index.ts is for users of the package; inside it everybody imports the file that has the thing.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(http|testing|cli)/', TESTS] },
      to: { path: '^src/index[.]ts$' },
    },
    {
      name: 'contracts-is-pure',
      comment: 'millrace/contracts is for web bundles too: it imports core and nothing else.',
      severity: 'error',
      from: { path: '^src/contracts[.]ts$' },
      to: { pathNot: '^src/core/' },
    },
    {
      name: 'contracts-without-schedules',
      comment: 'A contract has no schedules in it, so that it does not carry their cron arithmetic into a web bundle.',
      severity: 'error',
      from: { path: '^src/contracts[.]ts$' },
      to: { path: ['^src/core/(cron|schedule)[.]ts$'], reachable: true },
    },
    {
      name: 'core-is-pure',
      comment: 'core is safe in a browser: no node: module and no package, but for the types of Standard Schema.',
      severity: 'error',
      from: { path: '^src/core/', pathNot: ['^src/core/cron[.]ts$', TESTS] },
      to: { pathNot: ['^src/', '^node_modules/@standard-schema/spec/'] },
    },
    {
      name: 'croner-in-cron',
      comment:
        'Cron arithmetic is croner, which is pure as well; one file knows it, and contracts.ts does not load that file.',
      severity: 'error',
      from: { path: '^src/core/cron[.]ts$' },
      to: { pathNot: ['^src/core/', '^node_modules/croner/'] },
    },
    {
      name: 'standard-schema-is-types',
      comment: '@standard-schema/spec has no code: it is imported for its types.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '@standard-schema/spec', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'packages-of-the-top',
      comment:
        'The command line and its loader are no business of the library: importing millrace loads no package but croner.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(http|testing|cli)/', '^src/core/cron[.]ts$', TESTS] },
      to: { path: '^node_modules/', pathNot: '^node_modules/@standard-schema/spec/', dependencyTypesNot: ['npm-peer'] },
    },
    {
      name: 'peers-in-drivers',
      comment: "The client of a broker or database is its driver's alone.",
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/drivers/', TESTS] },
      to: { dependencyTypes: ['npm-peer'] },
    },
    {
      name: 'users-import-the-package',
      comment: 'Examples and benchmarks are users: they import millrace by its name, not files of src.',
      severity: 'error',
      from: { path: '^(examples|bench)/' },
      to: { path: '^(src|dist|bin)/', dependencyTypes: ['local'] },
    },
    {
      name: 'tests-are-leaves',
      comment: 'Nobody imports a test.',
      severity: 'error',
      from: {},
      to: { path: TESTS },
    },
    { name: 'no-cycles', comment: 'Not even of types.', severity: 'error', from: {}, to: { circular: true } },
    { name: 'unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'undeclared',
      comment: 'A package that is not in package.json, or only in devDependencies, is not there for users.',
      severity: 'error',
      from: { path: '^src/', pathNot: TESTS },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'], dependencyTypesNot: ['npm-peer'] },
    },
  ],
  options: {
    // Types count: an arrow that only types go along is an arrow all the same.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: ['node_modules', '^dist/'] },
    exclude: { path: '^coverage/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'default'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
}
