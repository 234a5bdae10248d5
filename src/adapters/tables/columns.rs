//! Columns by name: the bridge between rows and Arrow.
//!
//! In: rows and what to take of each. Out: a record batch. Holds: types that DuckDB, Polars, pyarrow
//! and Spark all read: 64-bit integers and floats, text, UTC microseconds, lists of structs. Knows
//! nothing of: tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, Int64Builder, ListBuilder,
    RecordBatch, StringArray, StringBuilder, StructBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

/// Columns under way; all of them are as long as `rows`.
pub(super) struct Columns<'r, R> {
    rows: &'r [R],
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'r, R> Columns<'r, R> {
    pub(super) const fn of(rows: &'r [R]) -> Self {
        Self { rows, fields: Vec::new(), arrays: Vec::new() }
    }

    fn add(&mut self, name: &str, nullable: bool, array: ArrayRef) -> &mut Self {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(array);
        self
    }

    pub(super) fn text<'s>(
        &mut self,
        name: &str,
        of: impl Fn(&'s R) -> Option<&'s str>,
    ) -> &mut Self
    where
        'r: 's,
    {
        let array: StringArray = self.rows.iter().map(of).collect();
        self.add(name, true, Arc::new(array))
    }

    pub(super) fn owned_text(&mut self, name: &str, of: impl Fn(&R) -> String) -> &mut Self {
        let array: StringArray = self.rows.iter().map(|row| Some(of(row))).collect();
        self.add(name, false, Arc::new(array))
    }

    pub(super) fn int(&mut self, name: &str, of: impl Fn(&R) -> u64) -> &mut Self {
        let array: Int64Array =
            self.rows.iter().map(|row| Some(i64::try_from(of(row)).unwrap_or(i64::MAX))).collect();
        self.add(name, false, Arc::new(array))
    }

    pub(super) fn some_int(&mut self, name: &str, of: impl Fn(&R) -> Option<i64>) -> &mut Self {
        let array: Int64Array = self.rows.iter().map(of).collect();
        self.add(name, true, Arc::new(array))
    }

    pub(super) fn float(&mut self, name: &str, of: impl Fn(&R) -> Option<f64>) -> &mut Self {
        let array: Float64Array =
            self.rows.iter().map(|row| of(row).filter(|value| value.is_finite())).collect();
        self.add(name, true, Arc::new(array))
    }

    pub(super) fn flag(&mut self, name: &str, of: impl Fn(&R) -> bool) -> &mut Self {
        let array: BooleanArray = self.rows.iter().map(|row| Some(of(row))).collect();
        self.add(name, false, Arc::new(array))
    }

    pub(super) fn some_flag(&mut self, name: &str, of: impl Fn(&R) -> Option<bool>) -> &mut Self {
        let array: BooleanArray = self.rows.iter().map(of).collect();
        self.add(name, true, Arc::new(array))
    }

    /// Microseconds since the epoch, UTC.
    pub(super) fn time(&mut self, name: &str, of: impl Fn(&R) -> Option<i64>) -> &mut Self {
        let array: TimestampMicrosecondArray = self.rows.iter().map(of).collect();
        self.add(name, true, Arc::new(array.with_timezone("UTC")))
    }

    pub(super) fn bytes(&mut self, name: &str, of: impl Fn(&R) -> Vec<u8>) -> &mut Self {
        let values: Vec<Vec<u8>> = self.rows.iter().map(of).collect();
        let array = BinaryArray::from_iter_values(values);
        self.add(name, false, Arc::new(array))
    }

    /// Lists of structs of texts, named by `keys`, with a count.
    pub(super) fn counts(
        &mut self,
        name: &str,
        keys: &[&str],
        of: impl Fn(&R) -> Vec<(Vec<String>, u64)>,
    ) -> &mut Self {
        let mut fields: Vec<Field> =
            keys.iter().map(|key| Field::new(*key, DataType::Utf8, false)).collect();
        fields.push(Field::new("count", DataType::Int64, false));
        let mut list = ListBuilder::new(StructBuilder::from_fields(fields, 0));
        for row in self.rows {
            for (names, count) in of(row) {
                let entry = list.values();
                for (at, name) in names.iter().enumerate() {
                    if let Some(column) = entry.field_builder::<StringBuilder>(at) {
                        column.append_value(name);
                    }
                }
                if let Some(column) = entry.field_builder::<Int64Builder>(keys.len()) {
                    column.append_value(i64::try_from(count).unwrap_or(i64::MAX));
                }
                entry.append(true);
            }
            list.append(true);
        }
        self.add(name, false, Arc::new(list.finish()))
    }

    /// Lists of integers.
    pub(super) fn ints(&mut self, name: &str, of: impl Fn(&R) -> Vec<u64>) -> &mut Self {
        let mut list = ListBuilder::new(Int64Builder::new());
        for row in self.rows {
            for value in of(row) {
                list.values().append_value(i64::try_from(value).unwrap_or(i64::MAX));
            }
            list.append(true);
        }
        self.add(name, false, Arc::new(list.finish()))
    }

    pub(super) fn batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let schema = Schema::new(std::mem::take(&mut self.fields));
        RecordBatch::try_new(Arc::new(schema), std::mem::take(&mut self.arrays))
    }
}
