// SPDX-License-Identifier: Apache-2.0
// The server itself: version, key, thresholds.
import { getServer, may } from '../api.ts';
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

export function AboutPage() {
  const { data: server, error } = usePolled(getServer, 10000);
  if (!server) return <>{error ? <Notice kind="error">{error}</Notice> : <p class="soft" role="status">Loading…</p>}</>;
  return (
    <>
      <div class="page-head"><h1>About</h1></div>
      <section class="panel pad" aria-label="Server">
        <dl class="about">
          <div><dt>Version</dt><dd data-testid="version">{server.version}</dd></div>
          <div><dt>Server id</dt><dd class="mono">{server.server_id}</dd></div>
          <div><dt>Pin of its key</dt><dd class="mono wrap">{server.pin} <CopyButton text={server.pin} label="Copy the pin" /></dd></div>
          <div><dt>Running since</dt><dd>{dateTime(server.started_ms)} ({duration(serverNow() - server.started_ms)})</dd></div>
          <div><dt>Agents reach it at</dt><dd class="mono">{server.advertise.join(', ') || 'not configured: chosen with each passphrase'}</dd></div>
          <div><dt>Its addresses</dt><dd class="mono wrap">{server.addresses.join(', ')}</dd></div>
          <div><dt>Samples kept</dt><dd>{duration(server.retention_s * 1000)}, each hour's counts and histogram {duration(server.rollup_retention_s * 1000)}</dd></div>
          <div><dt>Database</dt><dd data-testid="database">{databaseText(server.database)}</dd></div>
          <div><dt>A cell is slow above</dt><dd>{rtt(server.thresholds.slow_rtt_us)}</dd></div>
          <div><dt>A cell is lossy from</dt><dd>{server.thresholds.lossy_count} lost of the last 12</dd></div>
          <div><dt>A cell is stale after</dt><dd>{server.thresholds.stale_intervals} intervals without a sample</dd></div>
          <div><dt>Browsers watching</dt><dd>{server.viewers}</dd></div>
        </dl>
      </section>
      {may('admin') && <ServerKey />}
    </>
  );
}
