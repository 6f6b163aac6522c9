// A real OpenID Connect provider for `python -m bench.sso`: node sso_provider.mjs PORT FOLDER REDIRECT
// FOLDER holds node_modules with oidc-provider. A person who signs in as NAME is NAME@docket.example, in the group NAMEs.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [port, folder, redirect] = process.argv.slice(2);
const found = createRequire(`${folder}/package.json`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(found).href);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'docket', client_secret: 'made-for-the-bench', redirect_uris: [redirect] }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@docket.example`, email_verified: true, name: id, groups: [`${id}s`] }),
  }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
