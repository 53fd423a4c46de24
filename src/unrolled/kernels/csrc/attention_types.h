// Attention over a memory, beside the layer of a decoder: what a call gets. The caller owns every buffer.
//
// Each row of the batch has a memory of its own: `lengths` places, one after the other. Nothing beyond them is touched.
// Scores are additive, or, where there is no `value`, inner products of key and query. A decoder that attends before its
// cell reads the context (`attention.h`); one that attends behind it reads what it has shown before (`feeding.h`).
#pragma once

#include "layer.h"

extern "C" struct Attention {
  int64_t units, features;  // of a key; of a place of the memory
  int64_t source;           // columns of `weights`: as many as the longest memory has places
  const int64_t* first;     // (batch,) the first place of each row's memory
  const int64_t* lengths;   // (batch,) its places, from 1 to `source`
  const float* memory;      // (places, features)
  const float* keys;        // (places, units)
  const float* value;       // (units,) what weighs the units of a score, or none
  const void* query;        // the query's weights, packed for this pass; or none: the query is the state itself
  const float* bias;        // (units,) of the query, or none
  int64_t blocks;           // the blocks of the cell's gates that read the context, or what was shown
  int64_t at[2], columns[2];  // where each begins among an element's gates, and how many they are
  const void* context[2];   // their weights, packed for this pass
  float* queries;           // (elements, units); without weights the layer's `h`
  float* weights;           // (elements, source) what each place matters; zeros beyond the length
  float* contexts;          // (elements, features)
  const float* dweights;    // (elements, source) gradient of the weights
  float* dcontexts;         // (elements, features) in: gradient of the contexts; out: with what comes by the cell
  float* dh;                // the layer's, to which the gradient by the queries is added
  float* dqueries;          // (elements, units) gradient of the queries
  float* dkeys;             // (places, units) of the keys
  float* dmemory;           // (places, features) of the memory, but for what comes by the keys
  float* dvalue;            // (units,)
};

// A slice of the rows, for one thread.
struct Attending {
  const Attention* attention;
  Slice rows;
  float* room;    // of `source` + `units` floats, in the pass back
  float* dvalue;  // (units,) this slice's share
};

// Of a decoder that shows something at each step, and reads it at the next.
extern "C" struct Feeding {
  const Attention* attention;  // its `context`: the cell's weights of what was shown
  int64_t shown;               // features of what is shown
  const void* of_state;        // from the state to it, packed for this pass
  const void* of_context;      // from the context to it
  const float* first;          // (batch, shown) what the first step reads
  float* shows;                // (elements, shown) in: what the words give to it; out: what is shown
  float* dshows;               // (elements, shown) in: its gradient; out: that of what is in the tanh
  float* dfirst;               // (batch, shown)
};

struct Fed {
  const Feeding* feeding;
  Attending at;
};
