// Whether each dashboard, taken literally, is what @grafana/schema calls a Dashboard: npm run types [-- DIRECTORY]
import {mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';

const dashboards = process.argv[2] ?? '../dashboards';
const into = 'literals';

rmSync(into, {recursive: true, force: true});
mkdirSync(into);
const files = readdirSync(dashboards).filter((name) => name.endsWith('.json')).map((name) => {
  const literal = readFileSync(join(dashboards, name), 'utf8');
  const file = join(into, name.replace('.json', '.ts'));
  writeFileSync(file, `import type {Literal} from '../literal';\nexport const dashboard: Literal = ${literal.trim()};\n`);
  return file;
});
const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler'];
process.exitCode = spawnSync('node', ['node_modules/typescript/bin/tsc', ...options, ...files], {stdio: 'inherit'}).status;
