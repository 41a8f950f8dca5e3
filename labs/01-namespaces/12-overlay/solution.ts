/**
 * Lab 01.12, solved. A new mount is configured parameter by parameter, made, and attached: until the last
 * call it is a descriptor and nothing else. In an overlay, reads go to the topmost directory that has the
 * file, and writes to the upper one; what is removed is covered by a whiteout there.
 */
import { type LabFile, writeText } from '@strata/labs';
import { AT_FDCWD, O_CREAT, O_PATH, O_TRUNC } from '@strata/namespaces';
import { placesOf, type Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const { sys } = stage;
  const places = placesOf(stage);
  const { image, changes, work, root } = places;

  stage.step('an image, which belongs to everybody', () => {
    for (const path of Object.values(places)) sys.mkdirat(AT_FDCWD, path, 0o755);
    writeText(sys, `${image}/greeting`, 'hello\n', O_CREAT);
    writeText(sys, `${image}/junk`, 'old\n', O_CREAT);
  });

  stage.step('a root for a container', () => {
    const context = sys.fsopen('overlay');
    sys.fsconfigSet(context, 'lowerdir', image);
    sys.fsconfigSet(context, 'upperdir', changes);
    sys.fsconfigSet(context, 'workdir', work);
    sys.fsconfigCreate(context);
    const mount = sys.fsmount(context, 0);
    sys.close(context);
    const place = sys.openDirectory(root, O_PATH);
    sys.moveMount(mount, place);
    sys.close(place);
    sys.close(mount);
  });

  stage.step('the container writes', () => {
    writeText(sys, `${root}/greeting`, 'mine\n', O_TRUNC);
  });

  stage.step('the container removes', () => sys.unlinkat(AT_FDCWD, `${root}/junk`));

  return places;
};
export default lab;
