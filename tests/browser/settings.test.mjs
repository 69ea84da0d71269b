// SPDX-License-Identifier: Apache-2.0
// The server's settings through the page: seen with where they come from, changed, refused with a reason, e-mail tried.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import test, { after, before } from 'node:test';
import { Lab, api, go, launch, look, newPage, signIn, until } from './lab.mjs';

let lab, browser, page, smtp;
const mails = [];

/** Takes every mail; says so in the words of RFC 5321. */
function startSmtp() {
  const server = net.createServer((socket) => {
    let data = false, text = '';
    socket.on('error', () => undefined);
    socket.write('220 here\r\n');
    socket.on('data', (chunk) => {
      text += chunk;
      for (let end; (end = text.indexOf(data ? '\r\n.\r\n' : '\r\n')) >= 0;) {
        const line = text.slice(0, end);
        text = text.slice(end + (data ? 5 : 2));
        if (data) mails.push(line);
        data = !data && line.toUpperCase().startsWith('DATA');
        socket.write(data ? '354 go on\r\n' : line.toUpperCase() === 'QUIT' ? '221 bye\r\n' : '250 fine\r\n');
      }
    });
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  smtp = await startSmtp();
  browser = await launch();
  page = await newPage(browser);
  await signIn(page, lab);
  await go(page, 'Settings');
});
after(async () => {
  await browser?.close();
  await lab?.close();
  smtp?.close();
});

const field = (name) => page.locator(`#setting-${name}`);
const box = (name) => page.getByTestId(`setting-${name}`);
const save = () => page.getByTestId('save-settings').click();
const saved = () => page.getByTestId('save-bar').getByText('Saved, and in force.').waitFor();
const value = async (name) => (await api(page, 'GET', '/api/v1/settings')).settings.find((one) => one.name === name);

test('each setting is there, with where it comes from', async () => {
  await field('retention').waitFor();
  assert.equal(await box('retention').getAttribute('data-source'), 'default');
  assert.ok(await page.getByTestId('save-settings').isDisabled());
  const listen = page.getByTestId('fixed-listen');
  assert.match(await listen.innerText(), /127\.0\.0\.1:8443\s+an option/);
  const { settings } = await api(page, 'GET', '/api/v1/settings');
  for (const { name } of settings) assert.equal(await page.locator(`#setting-${name}, [data-testid=fixed-${name}]`).count(), 1, name);
  await look(page, 'Settings');
});

test('a change is saved with the keyboard alone, holds, and is taken back', async () => {
  await field('slow_ms').fill('80');
  await field('slow_ms').press('Enter');
  await saved();
  assert.equal((await value('slow_ms')).value, '80');
  assert.match(await box('slow_ms').innerText(), /set here; the default is 100/);
  await go(page, 'About');
  await page.getByText(/^80(\.0+)? ms$/).waitFor();
  await go(page, 'Settings');
  await page.getByRole('button', { name: 'A cell is slow above (ms): back to the default' }).click();
  await save();
  await saved();
  assert.equal((await value('slow_ms')).source, 'default');
});

test('what is not good is told beside its field, and nothing is saved', async () => {
  await field('lossy_count').fill('3');
  await field('retention').fill('24');
  await save();
  await box('retention').getByRole('alert').filter({ hasText: 'is not a time like 90m, 24h, 7d or 2y' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'setting-retention');
  assert.equal(await field('retention').getAttribute('aria-invalid'), 'true');
  assert.equal((await value('lossy_count')).value, '1');
  await look(page, 'Settings with an error');
  await field('retention').fill('48h');
  await save();
  await saved();
  assert.equal((await value('retention')).value, '2d');
  assert.equal((await value('lossy_count')).value, '3');
});

test('whoever keeps less is asked first', async () => {
  await field('retention').fill('24h');
  await save();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Every sample is kept for').waitFor();
  await look(page, 'Keep less');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal((await value('retention')).value, '2d');
  await save();
  await page.getByTestId('confirm').click();
  await saved();
  assert.equal((await value('retention')).value, '1d');
});

test("somebody else's change is not overwritten unseen", async () => {
  await field('offline_s').fill('20');
  await api(page, 'PATCH', '/api/v1/settings', { pending_max: 99 });
  await save();
  await page.getByText('Somebody else changed the settings meanwhile').waitFor();
  await until('it is loaded', 5, async () => (await field('pending_max').inputValue()) === '99');
  assert.equal(await field('offline_s').inputValue(), '20');
  await save();
  await saved();
  assert.equal((await value('offline_s')).value, '20');
});

test('e-mail is set up, tried, and its password never seen again', async () => {
  const send = page.getByTestId('test-mail-send');
  await page.getByLabel('Send a test mail to').fill('anna@example.org');
  await send.click();
  await page.getByTestId('test-mail').getByRole('alert').filter({ hasText: 'no SMTP server is set' }).waitFor();
  await field('smtp_url').fill(`smtp://127.0.0.1:${smtp.address().port}`);
  assert.ok(await send.isDisabled());
  await field('smtp_from').fill('meshping@example.org');
  await field('public_url').fill('https://mon.example.org');
  await field('smtp_password').fill('secret of smtp');
  await save();
  await saved();
  await send.click();
  await page.getByText('The SMTP server took it for anna@example.org').waitFor();
  assert.match(mails[0], /Subject: A test from Meshping/);
  assert.match(await box('smtp_password').innerText(), /one is kept, sealed; it is never shown/);
  assert.equal(await field('smtp_password').inputValue(), '');
  assert.ok(!(await page.content()).includes('secret of smtp'));
  await page.getByRole('button', { name: 'Take the password away' }).click();
  await save();
  await saved();
  assert.equal((await value('smtp_password')).set, false);
});

test('About says what runs, by whom it was made, and under which licences', async () => {
  await go(page, 'About');
  assert.equal(await page.getByTestId('licence').innerText(), 'Apache-2.0');
  const about = await api(page, 'GET', '/api/v1/about');
  assert.equal(await page.getByTestId('schema').innerText(), `version ${about.schema_version}`);
  const lock = JSON.parse(readFileSync(new URL('../../meshpingd/ui/package-lock.json', import.meta.url)));
  const shipped = Object.entries(lock.packages).filter(([key, one]) => key && !one.dev && !one.devOptional).map(([key, one]) => [key.replace('node_modules/', ''), one.version]);
  assert.ok(shipped.length >= 3);
  for (const [name, version] of [...shipped, ...about.libraries.map((one) => [one.name, one.version])]) {
    const part = page.locator(`[data-testid=part][data-name="${name}"]`);
    await part.waitFor();
    assert.ok((await part.innerText()).includes(version), name);
  }
  await page.locator('[data-name=uplot] summary').click();
  await page.getByLabel('Licence of uplot').filter({ hasText: 'Permission is hereby granted' }).waitFor();
  await look(page, 'About');
});

test('the audit log has each change, and nothing went wrong on the page', async () => {
  await go(page, 'Audit');
  await page.locator('[data-action="settings.change"]').filter({ hasText: 'retention 2d -> 24h' }).waitFor();
  await page.locator('[data-action="settings.test_mail"]').filter({ hasText: 'anna@example.org' }).waitFor();
  assert.ok(!(await page.content()).includes('secret of smtp'));
  assert.deepEqual([page.troubles, page.foreign], [[], []]);
});
