/** The source or destination that a place's name stands for. */
import type { Images } from '../images/images.ts';
import { parseReference } from '../references/reference.ts';
import type { RegistryOptions } from '../registry/registry-client.ts';
import { DockerArchiveDestination, DockerArchiveSource } from './docker-archive.ts';
import {
  DirectoryDestination,
  DirectorySource,
  LayoutArchiveDestination,
  LayoutDestination,
  LayoutImageSource,
} from './files-transport.ts';
import { RegistryDestination, RegistrySource } from './registry-transport.ts';
import type { ImageDestination, ImageSource, Place } from './transport.ts';

export interface PlaceOptions extends RegistryOptions {
  /** For strata: places. */
  images?: Images | undefined;
}

export async function openSource(place: Place, options: PlaceOptions): Promise<ImageSource> {
  switch (place.transport) {
    case 'strata':
      return options.images!.source(place.name);
    case 'docker':
      return new RegistrySource(parseReference(place.name), options);
    case 'oci':
    case 'oci-archive':
      return await LayoutImageSource.open(place.path, place.name);
    case 'docker-archive':
      return await DockerArchiveSource.open(place.path, place.name);
    case 'dir':
      return new DirectorySource(place.path);
  }
}

export function openDestination(place: Place, options: PlaceOptions): ImageDestination {
  switch (place.transport) {
    case 'strata':
      return options.images!.destination(place.name);
    case 'docker':
      return new RegistryDestination(parseReference(place.name), options);
    case 'oci':
      return new LayoutDestination(place.path, place.name);
    case 'oci-archive':
      return new LayoutArchiveDestination(place.path, place.name);
    case 'docker-archive':
      return new DockerArchiveDestination(place.path, place.name);
    case 'dir':
      return new DirectoryDestination(place.path);
  }
}
