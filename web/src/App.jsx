import { useEffect, useState } from 'react';
import { Explorer } from './Explorer.jsx';
import { Toolbar } from './Toolbar.jsx';
import { loadSettings, saveSettings, takeFragment, withFragment } from './settings.js';

export function App() {
  const [fragment, setFragment] = useState(takeFragment);
  const [settings, setSettings] = useState(() => withFragment(loadSettings(), fragment));
  const [panel, setPanel] = useState();
  const { endpoint, tenant, tokens } = settings;
  const token = tokens[endpoint];

  useEffect(() => saveSettings(settings), [settings]);

  // A link opened inside this tab changes the fragment without a reload.
  useEffect(() => {
    const onHashChange = () => {
      const fragment = takeFragment();
      setFragment((before) => fragment ?? before);
      setSettings((settings) => withFragment(settings, fragment));
    };
    addEventListener('hashchange', onHashChange);
    return () => removeEventListener('hashchange', onHashChange);
  }, []);

  const onChange = ({ token, ...fields }) =>
    setSettings((settings) => ({
      ...settings,
      ...fields,
      tokens:
        token === undefined
          ? settings.tokens
          : { ...settings.tokens, [settings.endpoint]: token },
    }));

  return (
    <>
      <Toolbar endpoint={endpoint} tenant={tenant} token={token} onChange={onChange} />
      <main>
        <Explorer
          key={`${endpoint} ${fragment?.link?.token}`}
          endpoint={endpoint}
          // The admin API is not bound to a tenant.
          tenant={endpoint === 'tenant' ? tenant : ''}
          token={token}
          link={endpoint === 'tenant' ? fragment?.link : null}
          panel={panel}
          onPanelChange={setPanel}
        />
      </main>
    </>
  );
}
