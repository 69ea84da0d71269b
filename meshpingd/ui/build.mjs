// SPDX-License-Identifier: Apache-2.0
// Bundles the page: node build.mjs [--modules DIR] [--out DIR]; also --check (types) and --test [DIR] (unit tests).
// Runs on Node 18 and newer. Everything it needs is in DIR of --modules (default: node_modules beside this file).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    modules: { type: 'string', default: path.join(here, 'node_modules') },
    out: { type: 'string', default: path.join(here, 'dist') },
    check: { type: 'boolean', default: false },
    test: { type: 'string' },
  },
});
const modules = path.resolve(options.modules);
const require = createRequire(path.join(modules, 'x.js'));

const contentTypes = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.json': 'application/json',
};

function bundleOptions() {
  return {
    absWorkingDir: here,
    nodePaths: [modules],
    bundle: true,
    format: 'esm',
    target: 'es2020',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'warning',
  };
}

function assetName(name, body, extension) {
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 10);
  return `assets/${name}-${hash}${extension}`;
}

/** The packages that went into the bundle, each with its licence's text, which has to go with it. */
function packagesOf(inputs) {
  const names = new Set();
  for (const input of Object.keys(inputs)) {
    const found = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) names.add(found[1]);
  }
  return [...names].sort().map((name) => {
    const folder = path.join(modules, name);
    const { version, license, homepage = '' } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file || !license) throw new Error(`${name} does not say under which licence it is`);
    return { name, version, licence: license, url: homepage, text: readFileSync(path.join(folder, file), 'utf8') };
  });
}

async function build(out) {
  const esbuild = require('esbuild');
  const result = await esbuild.build({
    ...bundleOptions(),
    entryPoints: { app: 'src/main.tsx', feed: 'src/feed.ts' },
    outdir: out,
    entryNames: 'assets/[name]-[hash]',
    chunkNames: 'assets/[name]-[hash]',
    splitting: true,
    minify: true,
    metafile: true,
    write: false,
  });
  const files = result.outputFiles.map((file) => ({
    url: '/' + path.relative(out, file.path).split(path.sep).join('/'),
    body: Buffer.from(file.contents),
    immutable: true,
  }));
  const icon = readFileSync(path.join(here, 'src/favicon.svg'));
  files.push({ url: '/' + assetName('favicon', icon, '.svg'), body: icon, immutable: true });

  const packages = Buffer.from(JSON.stringify({ packages: packagesOf(result.metafile.inputs) }));
  files.push({ url: '/' + assetName('licences', packages, '.json'), body: packages, immutable: true });

  const find = (pattern) => {
    const file = files.find((candidate) => pattern.test(candidate.url));
    if (!file) throw new Error(`the bundle lacks a file like ${pattern}`);
    return file.url;
  };
  const html = readFileSync(path.join(here, 'src/index.html'), 'utf8')
    .replaceAll('%SCRIPT%', find(/\/app-[^/]*\.js$/))
    .replaceAll('%FEED%', find(/\/feed-[^/]*\.js$/))
    .replaceAll('%STYLE%', find(/\/app-[^/]*\.css$/))
    .replaceAll('%ICON%', find(/\/favicon-/))
    .replaceAll('%LICENCES%', find(/\/licences-/));
  files.push({ url: '/', body: Buffer.from(html), immutable: false, name: 'index.html' });

  rmSync(out, { recursive: true, force: true });
  mkdirSync(path.join(out, 'assets'), { recursive: true });
  const manifest = [];
  for (const file of files.sort((a, b) => (a.url < b.url ? -1 : 1))) {
    const name = file.name ?? file.url.slice(1);
    const gzip = gzipSync(file.body, { level: 9 });
    writeFileSync(path.join(out, name), file.body);
    writeFileSync(path.join(out, `${name}.gz`), gzip);
    manifest.push({
      path: file.url,
      content_type: contentTypes[path.extname(name)],
      file: name,
      gzip: `${name}.gz`,
      gzip_length: gzip.length,
      sha256: createHash('sha256').update(file.body).digest('hex'),
      immutable: file.immutable,
    });
  }
  // Last: who sees a manifest sees a whole bundle.
  writeFileSync(path.join(out, 'manifest.json'), JSON.stringify({ files: manifest }, null, 1) + '\n');
  const total = manifest.reduce((sum, file) => sum + file.gzip_length, 0);
  const lazy = manifest.filter((file) => /uPlot|graph/i.test(file.path)).reduce((sum, file) => sum + file.gzip_length, 0);
  console.log(`page: ${manifest.length} files, ${total} bytes gzipped, of them ${lazy} only when a graph is shown`);
}

function check() {
  // tsc looks for modules above the sources: give it the sources beside the modules.
  const root = path.dirname(modules);
  if (root !== here && !existsSync(path.join(root, 'src'))) symlinkSync(path.join(here, 'src'), path.join(root, 'src'));
  return spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', path.join(root, 'tsconfig.json')], {
    stdio: 'inherit',
  }).status;
}

async function test(out) {
  const esbuild = require('esbuild');
  const folder = path.join(here, 'test');
  const names = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
  rmSync(out, { recursive: true, force: true });
  await esbuild.build({
    ...bundleOptions(),
    entryPoints: names.map((name) => path.join(folder, name)),
    outdir: out,
    outExtension: { '.js': '.mjs' },
    platform: 'node',
  });
  const files = names.map((name) => path.join(out, name.replace(/\.ts$/, '.mjs')));
  return spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' }).status;
}

if (options.check) process.exitCode = check();
else if (options.test !== undefined) process.exitCode = await test(path.resolve(options.test || path.join(here, 'dist-test')));
else await build(path.resolve(options.out));
