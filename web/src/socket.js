// Subscriptions over a WebSocket, by graphql-transport-ws: one socket for each,
// which ends with it. GraphiQL takes it as an observable. A browser gives a
// socket no headers, so they travel in its first message.
export function watch(url, headers, params) {
  return {
    subscribe({ next, error, complete }) {
      const socket = new WebSocket(new URL(`${url}/ws`, location.href), 'graphql-transport-ws');
      const say = (message) => socket.send(JSON.stringify(message));
      let isOver = false;
      const end = (tell) => {
        if (isOver) return;
        isOver = true;
        socket.close(1000);
        tell?.();
      };

      socket.onopen = () => say({ type: 'connection_init', payload: headers });
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        switch (message.type) {
          case 'connection_ack':
            return say({ id: '1', type: 'subscribe', payload: params });
          case 'ping':
            return say({ type: 'pong' });
          case 'next':
            return isOver || next(message.payload);
          case 'error':
            return end(() => error({ errors: message.payload }));
          case 'complete':
            return end(complete);
        }
      };
      socket.onclose = ({ code, reason }) =>
        end(() => error(new Error(`The socket was closed: ${code} ${reason}`)));
      return { unsubscribe: () => end() };
    },
  };
}
