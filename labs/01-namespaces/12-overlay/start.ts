/** Lab 01.12: a root that is an image, and changes. */
import { type LabFile, writeText } from '@strata/labs';
import { AT_FDCWD, MS_BIND, O_CREAT, O_TRUNC } from '@strata/namespaces';
import { placesOf, type Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const { sys } = stage;
  const places = placesOf(stage);
  const { image, root } = places;

  stage.step('an image, which belongs to everybody', () => {
    for (const path of Object.values(places)) sys.mkdirat(AT_FDCWD, path, 0o755);
    writeText(sys, `${image}/greeting`, 'hello\n', O_CREAT);
    writeText(sys, `${image}/junk`, 'old\n', O_CREAT);
  });

  stage.step('a root for a container', () => {
    // Yours: this is the image itself. Put an overlay in its place: places.image below, places.changes on
    // top, places.work for the file system's own use. Calls: fsopen, fsconfigSet, fsconfigCreate, fsmount,
    // and moveMount to an O_PATH descriptor of `root`.
    sys.mount({ source: image, target: root, flags: MS_BIND });
  });

  stage.step('the container writes', () => {
    writeText(sys, `${root}/greeting`, 'mine\n', O_TRUNC);
  });

  stage.step('the container removes', () => sys.unlinkat(AT_FDCWD, `${root}/junk`));

  return places;
};
export default lab;
