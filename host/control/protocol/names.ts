/** What the two ends must call alike before they speak. */

/** The WebSocket subprotocol; what would break a client gets another one. */
export const PROTOCOL = "crosszone.v1";
/** Where WebSockets are. */
export const CHANNEL_PATH = "/rpc";
