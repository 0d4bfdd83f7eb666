/**
 * How the reference names things. Modules are called as they are imported. Methods of Tensor are typed from the functions of src/tensor/ops (`Methods<typeof OPS>`), where TypeDoc sees properties without a comment: they get
 * that of the function they were declared by, or of the exported one of the same name.
 */
import { Converter, ReflectionKind } from 'typedoc';

/** Where a reflection is declared, as one key; undefined for what has no source. */
const placeOf = ({ sources }) => sources?.[0] && `${sources[0].fullFileName}:${sources[0].line}`;

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module))
      module.name = module.name === 'index' ? 'tenon' : `tenon/${module.name}`;
    const comments = new Map();
    for (const declared of project.getReflectionsByKind(ReflectionKind.Function)) {
      const comment = declared.signatures?.find(signature => signature.comment)?.comment;
      if (!comment) continue;
      comments.set(placeOf(declared), comment);
      if (declared.parent.name === 'tenon') comments.set(declared.name, comment);
    }
    for (const name of ['Tensor', 'Parameter'])
      for (const property of project.getChildByName(['tenon', name]).getChildrenByKind(ReflectionKind.Property)) {
        const comment = comments.get(placeOf(property)) ?? comments.get(property.name);
        if (comment && !property.comment) property.comment = comment.clone();
      }
  });
}
