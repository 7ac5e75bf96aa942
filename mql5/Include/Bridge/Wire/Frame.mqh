//+------------------------------------------------------------------+
//|                                                        Frame.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Frames: cutting a byte stream into them, and putting one together.
//
//    offset  size  field
//     0      4     length   u32, of the whole frame, header and tag included
//     4      1     type     ENUM_WIRE_FRAME
//     5      1     flags    0
//     6      2     magic    "M5"
//     8      8     seq      u64, 1 for the first frame of a direction, then +1
//    16      n     body
//    16+n    16    tag      of bytes 0..16+n; zeros before the session keys exist
//
// Little endian. May touch: Bytes.mqh. Rule: a length is checked before anything waits for it.
// What must change together: this file and bridge/wire/frame.py.

#ifndef BRIDGE_WIRE_FRAME_MQH
#define BRIDGE_WIRE_FRAME_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Spec.mqh>

//+------------------------------------------------------------------+
//| A frame within the bytes of a CFrameBuffer: places, no copies.   |
//+------------------------------------------------------------------+
struct SFrame
  {
   int               begin;      // of the header
   int               length;
   int               type;
   int               flags;
   uint              magic;
   ulong             seq;
   int               body;       // where the body begins
   int               body_size;
   int               tag;        // where the tag begins
  };

// Append the header of a frame with a body of so many bytes.
bool AppendFrameHeader(CByteBuffer &out,const int body_size,const int type,const ulong seq)
  {
   out.U32LE((uint)(body_size+WIRE_FRAME_OVERHEAD));
   out.U8((uint)type);
   out.U8(0);
   out.U16LE(WIRE_FRAME_MAGIC);
   return(out.U64LE(seq));
  }

// Append the 40 bytes before a run of records; the cursor is the place behind the last of them.
bool AppendRunHeader(CByteBuffer &out,const uint symbol_id,const uint length,const ulong first_seq,
                     const ulong sent_us,const long time_msc,const uint ticks,const uint crc)
  {
   out.U32LE(symbol_id);
   out.U32LE(length);
   out.U64LE(first_seq);
   out.U64LE(sent_us);
   out.U64LE((ulong)time_msc);
   out.U32LE(ticks);
   return(out.U32LE(crc));
  }

//+------------------------------------------------------------------+
//| Cuts received bytes into frames, however they were split.        |
//+------------------------------------------------------------------+
class CFrameBuffer
  {
public:
   CByteBuffer       m_bytes;         // frames are places in its m_data, until the next Feed

private:
   int               m_at;
   int               m_frame_max;
   int               m_code;
   string            m_problem;

public:
                     CFrameBuffer(void);
   void              Begin(const int frame_max);
   void              FrameMax(const int bytes) { m_frame_max=bytes; }
   bool              Feed(const uchar &data[],const int count);
   // The next whole frame; false: none, or the stream cannot be read on: see Code().
   bool              Next(SFrame &frame);
   int               Code(void) const { return(m_code); }   // ENUM_WIRE_LOGOUT, 0: all is well
   string            Problem(void) const { return(m_problem); }
   int               Pending(void) const { return(m_bytes.Size()-m_at); }
  };

CFrameBuffer::CFrameBuffer(void) : m_at(0),m_frame_max(WIRE_LOGON_FRAME_MAX),m_code(0),m_problem("")
  {
  }

void CFrameBuffer::Begin(const int frame_max)
  {
   m_bytes.Clear();
   m_at=0;
   m_frame_max=frame_max;
   m_code=0;
   m_problem="";
  }

bool CFrameBuffer::Feed(const uchar &data[],const int count)
  {
   //--- what was taken is dropped here, not frame by frame
   if(m_at>0)
     {
      if(!m_bytes.RemoveFront(m_at))
         return(false);
      m_at=0;
     }
   return(m_bytes.Append(data,0,count));
  }

bool CFrameBuffer::Next(SFrame &frame)
  {
   int there=m_bytes.Size()-m_at;
   if(m_code!=0 || there<WIRE_HEADER_SIZE)
      return(false);
   uint length=GetU32LE(m_bytes.m_data,m_at);
   if(length<WIRE_FRAME_OVERHEAD || length>(uint)m_frame_max)
     {
      m_code=(length<WIRE_FRAME_OVERHEAD ? LOGOUT_BAD_FRAME : LOGOUT_FRAME_TOO_LARGE);
      m_problem=StringFormat("a frame of %u bytes is outside %d..%d",length,WIRE_FRAME_OVERHEAD,m_frame_max);
      return(false);
     }
   if((int)length>there)
      return(false);
   frame.begin=m_at;
   frame.length=(int)length;
   frame.type=(int)m_bytes.m_data[m_at+4];
   frame.flags=(int)m_bytes.m_data[m_at+5];
   frame.magic=GetU16LE(m_bytes.m_data,m_at+6);
   frame.seq=GetU64LE(m_bytes.m_data,m_at+8);
   frame.body=m_at+WIRE_HEADER_SIZE;
   frame.body_size=(int)length-WIRE_FRAME_OVERHEAD;
   frame.tag=frame.body+frame.body_size;
   m_at+=(int)length;
   return(true);
  }

#endif // BRIDGE_WIRE_FRAME_MQH
