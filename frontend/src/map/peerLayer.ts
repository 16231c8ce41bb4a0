/** Where others look: a small label with their name, above everything on the map. */
import { Marker, type Map as MapLibreMap } from "maplibre-gl";

import type { Peer } from "../api/together";

export interface PeerLayer {
  showPeers(peers: readonly Peer[]): void;
}

export function addPeerLayer(map: MapLibreMap): PeerLayer {
  const markers = new Map<number, Marker>();
  return {
    showPeers(peers) {
      const here = new Set(peers.map(({ user_id }) => user_id));
      for (const [user, marker] of markers) {
        if (here.has(user)) continue;
        marker.remove();
        markers.delete(user);
      }
      for (const { user_id, user, centre } of peers) {
        const marker = markers.get(user_id) ?? labelled(user);
        marker.setLngLat([centre[0], centre[1]]);
        if (!markers.has(user_id)) marker.addTo(map);
        markers.set(user_id, marker);
      }
    },
  };
}

function labelled(user: string): Marker {
  const element = document.createElement("div");
  element.className = "peer";
  element.textContent = user;
  element.dataset["peer"] = user;
  return new Marker({ element, anchor: "bottom-left" });
}
