/**
 * How a bridge treats one of its ports: IFLA_INFO_SLAVE_DATA of the port's link.
 *
 *   RTM_NEWLINK │ ifinfomsg │ IFLA_LINKINFO [ SLAVE_KIND "bridge", SLAVE_DATA [ IFLA_BRPORT_* ] ]
 *
 * @see bridge(8) `link set`
 */
import { type LinkReference, RTM_NEWLINK, referenceBody } from './links.ts';
import type { NetlinkRequest } from './message.ts';

const IFLA_LINKINFO = 18;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
/** The attribute's number of each setting; all are switches. */
const SETTINGS = {
  /**
   * Frames may leave by the port they came in by. A container that reaches itself by a forwarded port
   * needs it where the bridge's frames go through netfilter (br_netfilter): the bridge then sends
   * them back without the machine's routing.
   */
  hairpin: 4,
  /** Spanning tree messages from this port disable it. */
  guard: 5,
  learning: 8,
  /** Frames for unknown addresses go out here too. */
  flood: 9,
  /** Isolated ports do not see each other (Linux 4.18). */
  isolated: 33,
} as const;

export type BridgePortSettings = Partial<Record<keyof typeof SETTINGS, boolean>>;

/** Changes a port's settings; EINVAL or EOPNOTSUPP where the link is no bridge's port. */
export function changeBridgePort(
  port: LinkReference,
  settings: BridgePortSettings,
): NetlinkRequest {
  const body = referenceBody(port).nest(IFLA_LINKINFO, (info) =>
    info.string(IFLA_INFO_SLAVE_KIND, 'bridge').nest(IFLA_INFO_SLAVE_DATA, (data) => {
      for (const [name, attribute] of Object.entries(SETTINGS)) {
        const value = settings[name as keyof typeof SETTINGS];
        if (value !== undefined) data.u8(attribute, value ? 1 : 0);
      }
    }),
  );
  const step = `change bridge port ${port}`;
  return { type: RTM_NEWLINK, flags: 0, body: body.finish(), step };
}
