/** What the datapath's tables hold, asked of all workers as if they were one. */

import { Driver } from "../../../assembly/abi.js";
import { formatAddress, formatMac } from "../../config/address.js";
import type { Device } from "../../config/model.js";
import {
  parseConnFilter,
  parseConnQuery,
  parseFlush,
  parseHostQuery,
  parseMappingQuery,
  parsePageQuery,
  parsePoolQuery,
} from "../../telemetry/filter.js";
import { word } from "../../telemetry/words.js";
import { parseTrace } from "../../trace/input.js";
import { RpcCode, RpcError } from "../protocol/rpc.js";
import type { Some } from "./handlers.js";

export const tableMethods: Some<
  | "conns.query"
  | "conns.count"
  | "conns.delete"
  | "conns.flush"
  | "mappings.list"
  | "hosts.top"
  | "zones.list"
  | "pools.list"
  | "pools.addresses"
  | "flows.list"
  | "devices.list"
  | "neighbors.list"
  | "trace.run"
> = {
  async "conns.query"(params, { house: { router } }) {
    return await router.forwarder.queryConns(parseConnQuery(params, router.running));
  },

  async "conns.count"({ filter }, { house: { router } }) {
    const wanted = parseConnFilter(filter, router.running);
    return { conns: await router.forwarder.countConns(wanted) };
  },

  async "conns.delete"({ filter, dryRun }, { house: { router }, who }) {
    const wanted = parseConnFilter(filter, router.running);
    if (Object.keys(filter).length === 0) {
      const message = "filter: expected at least one condition; conns.flush ends everything";
      throw new RpcError(RpcCode.InvalidParams, message);
    }
    const conns = await router.forwarder.deleteConns(wanted, dryRun);
    if (!dryRun) router.note(`conns ended by ${who}: ${conns}, ${JSON.stringify(filter)}`);
    return { conns, dryRun };
  },

  async "conns.flush"({ dryRun, ...scope }, { house: { router }, who }) {
    const wanted = parseFlush(scope, router.running);
    const conns = await router.forwarder.flushConns(wanted, dryRun);
    if (!dryRun) router.note(`conns flushed by ${who}: ${conns}, ${JSON.stringify(scope)}`);
    return { conns, dryRun };
  },

  async "mappings.list"(params, { house: { router } }) {
    return await router.forwarder.listMappings(parseMappingQuery(params, router.running));
  },

  async "hosts.top"(params, { house: { router } }) {
    return { hosts: await router.forwarder.topHosts(parseHostQuery(params, router.running)) };
  },

  async "zones.list"(_params, { house: { router } }) {
    const { config, counters } = await router.forwarder.readings();
    const zones = config.zones.flatMap(({ id, name, connsMax }) => {
      const counted = counters.zones[name];
      if (counted === undefined) return [];
      return [{ id, name, ...counted, ...(connsMax > 0 ? { connsMax } : {}) }];
    });
    return { zones: zones.sort((one, other) => one.id - other.id) };
  },

  async "pools.list"(_params, { house: { router } }) {
    return { pools: await router.forwarder.listPools() };
  },

  async "pools.addresses"(params, { house: { router } }) {
    return await router.forwarder.listPoolAddresses(parsePoolQuery(params, router.running));
  },

  async "flows.list"(params, { house: { router } }) {
    return await router.forwarder.listFlows(parsePageQuery(params, router.running));
  },

  async "devices.list"(_params, { house: { router } }) {
    const { config, counters } = await router.forwarder.readings();
    const devices = config.devices.flatMap((device) => {
      const counted = counters.devices[device.name];
      return counted === undefined ? [] : [{ ...describeDevice(device), ...counted }];
    });
    const interfaces = config.interfaces.map(({ name }) => {
      const { rxMissed = 0, rxRefused = 0, txDropped = 0 } = counters.links[name] ?? {};
      return { name, isUp: !router.isDown(name), rxMissed, rxRefused, txDropped };
    });
    return { devices, interfaces };
  },

  async "neighbors.list"(params, { house: { router } }) {
    return await router.forwarder.listNeighbors(parsePageQuery(params, router.running));
  },

  async "trace.run"(params, { house: { router } }) {
    return await router.forwarder.trace(parseTrace(params, router.running));
  },
};

function describeDevice({
  name,
  port,
  zone,
  interface: carrier,
  vlan,
  mac,
  mtu,
  addresses,
}: Device) {
  return {
    port,
    name,
    zone: zone.id,
    interface: carrier.name,
    driver: word(Driver[carrier.driver]),
    vlan: [vlan?.outer, vlan?.inner].filter((tag) => tag !== undefined),
    ...(mac === undefined ? {} : { mac: formatMac(mac) }),
    mtu,
    addresses: addresses.map(({ address, length }) => `${formatAddress(address)}/${length}`),
  };
}
