// What a dashboard's JSON may hold: @grafana/schema's Dashboard, with the values of its enums in their place, as JSON
// has no enums; and what Prometheus adds to an annotation, whose fields the schema leaves to the data source.
import type {AnnotationQuery, Dashboard} from '@grafana/schema';

type Plain<T> =
  T extends string ? `${T}` :
  T extends number ? (`${T}` extends `${infer N extends number}` ? N : T) :
  T extends object ? {[Key in keyof T]: Plain<T[Key]>} : T;

// As @grafana/prometheus has them (PromAnnotation).
interface OfPrometheus { expr?: string; step?: string; titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean }

export type Literal = Omit<Plain<Dashboard>, 'annotations'> & {annotations: {list: (Plain<AnnotationQuery> & OfPrometheus)[]}};
