/** `crosszone zones`, `devices`, `neighbors`: what the configuration names and the router knows around it. */

import { Exit, print } from "../command.js";
import { askingVerb } from "../connection.js";
import { command } from "../definition.js";
import { duration } from "../numbers.js";
import { tableText } from "../table.js";
import { JSON_OPTION, pagesOf, printPages, zoneNames } from "./listing.js";

export const zones = command(
  "Look",
  askingVerb({
    name: "zones",
    summary: "print zones and what they carry",
    text: "Prints the zones of the configuration in force: their conns, their limit, and frames since the start.",
    options: JSON_OPTION,
    examples: ["zones"],

    async ask({ client, values: { json } }) {
      const { zones } = await client.call("zones.list", {});
      return await printPages([zones], {
        json,
        heading: [
          "ID",
          "ZONE",
          "CONNS",
          "LIMIT",
          "CREATED",
          "RX FRAMES",
          "RX BYTES",
          "TX FRAMES",
          "TX BYTES",
          "DROPPED",
        ],
        cells: (zone) => [
          zone.id,
          zone.name,
          zone.conns,
          zone.connsMax ?? "-",
          zone.connsCreated,
          zone.rxPackets,
          zone.rxBytes,
          zone.txPackets,
          zone.txBytes,
          zone.dropped,
        ],
      });
    },
  }),
);

export const devices = command(
  "Look",
  askingVerb({
    name: "devices",
    summary: "print devices, and the interfaces that carry them",
    text: "Prints the devices of the configuration in force, and what the interfaces that carry them have lost.",
    options: {
      json: {
        type: "boolean",
        help: "an object with devices and interfaces, as docs/protocol.md has them",
      },
    },
    examples: ["devices"],

    async ask({ client, values: { json } }) {
      const answer = await client.call("devices.list", {});
      if (json) {
        print(JSON.stringify(answer));
        return Exit.Ok;
      }
      const nameOf = await zoneNames(client);
      const carried = tableText(
        ["PORT", "DEVICE", "ZONE", "INTERFACE", "VLAN", "DRIVER", "MTU", "RX", "TX", "DROPPED"],
        answer.devices.map((device) => [
          device.port,
          device.name,
          nameOf(device.zone),
          device.interface,
          device.vlan.length === 0 ? "-" : device.vlan.join("."),
          device.driver,
          device.mtu,
          device.rxPackets,
          device.txPackets,
          device.dropped,
        ]),
      );
      const carrying = tableText(
        ["INTERFACE", "STATE", "RX MISSED", "RX REFUSED", "TX DROPPED"],
        answer.interfaces.map(({ name, isUp, rxMissed, rxRefused, txDropped }) => {
          return [name, isUp ? "up" : "down", rxMissed, rxRefused, txDropped];
        }),
      );
      print(`${carried}\n\n${carrying}`);
      return Exit.Ok;
    },
  }),
);

export const neighbors = command(
  "Look",
  askingVerb({
    name: "neighbors",
    summary: "print neighbors (ARP)",
    text: "Prints the neighbors of all devices: their MAC, and the state that RFC 4861 section 7.3.2 calls so.",
    options: JSON_OPTION,
    examples: ["neighbors"],

    async ask({ client, values: { json } }) {
      const nameOf = await zoneNames(client);
      return await printPages(pagesOf(client, "neighbors.list", {}), {
        json,
        heading: ["ZONE", "DEVICE", "ADDRESS", "MAC", "STATE", "CONFIRMED"],
        cells: ({ zone, device, address, mac, state, ageMs }) => {
          const age = state === "permanent" ? "-" : `${duration(ageMs)} ago`;
          return [nameOf(zone), device, address, mac ?? "-", state, age];
        },
      });
    },
  }),
);
