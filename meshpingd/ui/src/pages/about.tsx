// SPDX-License-Identifier: Apache-2.0
// The server itself: version, build, key, thresholds, and what it is made of.
import { call, getServer, may } from '../api.ts';
import { dateTime, duration, rtt } from '../format.ts';
import { serverNow } from '../live.ts';
import type { ServerInfo } from '../types.ts';
import { usePolled } from '../polled.ts';
import { CopyButton, Notice } from '../widgets.tsx';
import { ServerKey } from './server_key.tsx';

const mib = (bytes: number): string => `${(bytes / 1048576).toLocaleString('en', { maximumFractionDigits: 1 })} MiB`;

function databaseText({ file_bytes, used_bytes, max_bytes }: ServerInfo['database']): string {
  if (!max_bytes) return `${mib(file_bytes)}, no limit`;
  return `${mib(used_bytes)} of at most ${mib(max_bytes)}`;
}

interface Part {
  name: string;
  version: string;
  licence: string;
  url: string;
  /** The licence's, of what is shipped in the page. */
  text?: string;
}
interface About {
  version: string;
  build: { id: string; type: string; compiler: string; system: string };
  licence: string;
  schema_version: number;
  libraries: Part[];
}
const getAbout = () => call<About>('/api/v1/about');
/** The bundle's own file: its name is in the page's head. */
const getPackages = () =>
  call<{ packages: Part[] }>(document.querySelector<HTMLMetaElement>('meta[name=licences]')?.content ?? '').then((answer) => answer.packages);

function Parts({ id, title, words, parts }: { id: string; title: string; words: string; parts: Part[] | undefined }) {
  return (
    <section class="panel" aria-labelledby={id}>
      <header class="panel-head"><h2 id={id}>{title}</h2><p class="soft">{words}</p></header>
      {!parts ? <p class="empty" role="status">Loading…</p> : (
        <div class="table-wrap" tabIndex={0} role="group" aria-labelledby={id}>
          <table class="stack">
            <thead><tr><th scope="col">Name</th><th scope="col">Version</th><th scope="col">Licence</th><th scope="col">Home</th></tr></thead>
            <tbody>{parts.map((part) => (
              <tr key={part.name} data-testid="part" data-name={part.name}>
                <td>{part.name}</td><td class="mono" data-label="Version">{part.version}</td>
                <td data-label="Licence">{part.text ? <details><summary>{part.licence}</summary><pre class="preview" tabIndex={0} aria-label={`Licence of ${part.name}`}>{part.text}</pre></details> : part.licence}</td>
                <td class="wrap" data-label="Home">{part.url && <a href={part.url} rel="noreferrer">{part.url.replace(/^https:\/\//, '')}</a>}</td>
              </tr>
            ))}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}

export function AboutPage() {
  const { data: about, error: aboutError } = usePolled(getAbout, 0);
  const { data: packages, error: packagesError } = usePolled(getPackages, 0);
  const { data: server, error } = usePolled(getServer, 10000);
  if (!server) return <>{error ? <Notice kind="error">{error}</Notice> : <p class="soft" role="status">Loading…</p>}</>;
  return (
    <>
      <div class="page-head"><h1>About</h1></div>
      <section class="panel pad" aria-label="Server">
        <dl class="about">
          <div><dt>Version</dt><dd><span data-testid="version">{server.version}</span>, licence <span data-testid="licence">{about?.licence}</span></dd></div>
          {about && <div><dt>Build</dt><dd class="wrap" data-testid="build">{[about.build.system, about.build.compiler, about.build.type].filter(Boolean).join(', ')}{about.build.id && <> <span class="mono">{about.build.id}</span></>}</dd></div>}
          <div><dt>Server id</dt><dd class="mono">{server.server_id}</dd></div>
          <div><dt>Pin of its key</dt><dd class="mono wrap">{server.pin} <CopyButton text={server.pin} label="Copy the pin" /></dd></div>
          <div><dt>Running since</dt><dd>{dateTime(server.started_ms)} ({duration(serverNow() - server.started_ms)})</dd></div>
          <div><dt>Agents reach it at</dt><dd class="mono">{server.advertise.join(', ') || 'not configured: chosen with each passphrase'}</dd></div>
          <div><dt>Its addresses</dt><dd class="mono wrap">{server.addresses.join(', ')}</dd></div>
          <div><dt>Samples kept</dt><dd>{duration(server.retention_s * 1000)}, each hour's counts and histogram {duration(server.rollup_retention_s * 1000)}</dd></div>
          <div><dt>Database</dt><dd data-testid="database">{databaseText(server.database)}</dd></div>
          {about && <div><dt>Its schema</dt><dd data-testid="schema">version {about.schema_version}</dd></div>}
          <div><dt>A cell is slow above</dt><dd>{rtt(server.thresholds.slow_rtt_us)}</dd></div>
          <div><dt>A cell is lossy from</dt><dd>{server.thresholds.lossy_count} lost of the last 12</dd></div>
          <div><dt>A cell is stale after</dt><dd>{server.thresholds.stale_intervals} intervals without a sample</dd></div>
          <div><dt>Browsers watching</dt><dd>{server.viewers}</dd></div>
          <div><dt>For programs</dt><dd><a href="/api/v1/openapi.json" target="_blank" rel="noopener">The API, as an OpenAPI file</a></dd></div>
        </dl>
      </section>
      {may('admin') && <ServerKey />}
      {(aboutError || packagesError) && <Notice kind="error">{aboutError || packagesError}</Notice>}
      <Parts id="libraries-title" title="Libraries of the server" words="As they run; the system's own" parts={about?.libraries} />
      <Parts id="packages-title" title="Packages in this page" words="Shipped with it" parts={packages} />
    </>
  );
}
