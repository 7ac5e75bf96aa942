//+------------------------------------------------------------------+
//|                                                MsgPackWriter.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Writes one msgpack value after another. See MsgPack.mqh for the rules.
// May touch: Bytes.mqh, MsgPackReader.mqh (maps are checked before they are written).

#ifndef BRIDGE_WIRE_MSGPACKWRITER_MQH
#define BRIDGE_WIRE_MSGPACKWRITER_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/MsgPackReader.mqh>

//+------------------------------------------------------------------+
//| Writes one msgpack value after another.                          |
//+------------------------------------------------------------------+
class CMsgPackWriter
  {
private:
   CByteBuffer       m_out;
   string            m_problem;
   string            m_where;    // names of the structures around the field, with dots

public:
                     CMsgPackWriter(void);
   void              Clear(void);
   bool              Failed(void) const { return(m_problem!=""); }
   string            Problem(void) const { return(m_problem); }
   void              Fail(const string name,const string what);
   int               Size(void) const { return(m_out.Size()); }
   //--- plain values
   void              Nil(void);
   void              Boolean(const bool value);
   void              Integer(const long value);
   void              Unsigned(const ulong value);
   void              Double(const double value);          // any double: a field's is F64
   void              String(const string value);
   void              Bytes(const uchar &data[],const int begin,const int count);
   void              BeginArray(const int count);
   void              BeginMap(const int count);
   void              Raw(const uchar &data[]);            // a value that is msgpack already
   //--- fields: checked
   void              U8(const uint value,const string name);
   void              U16(const uint value,const string name);
   void              U32(const uint value,const string name);
   void              U64(const ulong value,const string name);
   void              I16(const int value,const string name);
   void              I32(const int value,const string name);
   void              I64(const long value,const string name);
   void              F64(const double value,const string name);
   void              Bool(const bool value,const string name);
   void              Text(const string value,const int limit,const string name);
   void              Bin(const uchar &data[],const int size,const bool exact,const string name);
   void              Array(const int count,const int limit,const string name);
   void              Map(const uchar &map[],const int entries,const int depth,const string name);
   //--- structures
   string            Enter(const string name);
   void              Leave(const string outer);
   //--- the end: the bytes written, false when anything failed
   bool              Finish(const string message,uchar &body[],string &problem);
   bool              ToArray(uchar &out[]) const;
  };

CMsgPackWriter::CMsgPackWriter(void) : m_problem(""),m_where("")
  {
  }

void CMsgPackWriter::Clear(void)
  {
   m_out.Clear();
   m_problem="";
   m_where="";
  }

// Only the first failure is kept.
void CMsgPackWriter::Fail(const string name,const string what)
  {
   if(m_problem=="")
      m_problem=m_where+name+": "+what;
  }

void CMsgPackWriter::Nil(void)
  {
   m_out.U8(0xC0);
  }

void CMsgPackWriter::Boolean(const bool value)
  {
   m_out.U8(value ? 0xC3 : 0xC2);
  }

void CMsgPackWriter::Integer(const long value)
  {
   if(value>=0)
     {
      Unsigned((ulong)value);
      return;
     }
   uint low=(uint)((ulong)value&UINT_MAX);
   if(value>=-32)
      m_out.U8(low);
   else
      if(value>=-128)
        {
         m_out.U8(0xD0);
         m_out.U8(low);
        }
      else
         if(value>=-32768)
           {
            m_out.U8(0xD1);
            m_out.U16BE(low);
           }
         else
            if(value>=INT_MIN)
              {
               m_out.U8(0xD2);
               m_out.U32BE(low);
              }
            else
              {
               m_out.U8(0xD3);
               m_out.U64BE((ulong)value);
              }
  }

void CMsgPackWriter::Unsigned(const ulong value)
  {
   uint low=(uint)(value&UINT_MAX);
   if(value<0x80)
      m_out.U8(low);
   else
      if(value<=0xFF)
        {
         m_out.U8(0xCC);
         m_out.U8(low);
        }
      else
         if(value<=0xFFFF)
           {
            m_out.U8(0xCD);
            m_out.U16BE(low);
           }
         else
            if(value<=UINT_MAX)
              {
               m_out.U8(0xCE);
               m_out.U32BE(low);
              }
            else
              {
               m_out.U8(0xCF);
               m_out.U64BE(value);
              }
  }

void CMsgPackWriter::Double(const double value)
  {
   m_out.U8(0xCB);
   m_out.F64BE(value);
  }

void CMsgPackWriter::String(const string value)
  {
   Text(value,BYTES_UNBOUNDED,"a text");
  }

void CMsgPackWriter::Bytes(const uchar &data[],const int begin,const int count)
  {
   if(!Fits(ArraySize(data),begin,count))
     {
      Fail("bytes","outside of their array");
      return;
     }
   if(count<=0xFF)
     {
      m_out.U8(0xC4);
      m_out.U8((uint)count);
     }
   else
      if(count<=0xFFFF)
        {
         m_out.U8(0xC5);
         m_out.U16BE((uint)count);
        }
      else
        {
         m_out.U8(0xC6);
         m_out.U32BE((uint)count);
        }
   m_out.Append(data,begin,count);
  }

void CMsgPackWriter::BeginArray(const int count)
  {
   if(count<0)
      Fail("an array","a negative number of elements");
   else
      if(count<16)
         m_out.U8(0x90|(uint)count);
      else
         if(count<=0xFFFF)
           {
            m_out.U8(0xDC);
            m_out.U16BE((uint)count);
           }
         else
           {
            m_out.U8(0xDD);
            m_out.U32BE((uint)count);
           }
  }

void CMsgPackWriter::BeginMap(const int count)
  {
   if(count<0)
      Fail("a map","a negative number of entries");
   else
      if(count<16)
         m_out.U8(0x80|(uint)count);
      else
         if(count<=0xFFFF)
           {
            m_out.U8(0xDE);
            m_out.U16BE((uint)count);
           }
         else
           {
            m_out.U8(0xDF);
            m_out.U32BE((uint)count);
           }
  }

void CMsgPackWriter::Raw(const uchar &data[])
  {
   m_out.AppendAll(data);
  }

void CMsgPackWriter::U8(const uint value,const string name)
  {
   if(value>0xFF)
      Fail(name,StringFormat("%u is outside 0..255",value));
   Unsigned((ulong)value);
  }

void CMsgPackWriter::U16(const uint value,const string name)
  {
   if(value>0xFFFF)
      Fail(name,StringFormat("%u is outside 0..65535",value));
   Unsigned((ulong)value);
  }

void CMsgPackWriter::U32(const uint value,const string name)
  {
   Unsigned((ulong)value);
  }

void CMsgPackWriter::U64(const ulong value,const string name)
  {
   Unsigned(value);
  }

void CMsgPackWriter::I16(const int value,const string name)
  {
   if(value<-32768 || value>32767)
      Fail(name,StringFormat("%d is outside -32768..32767",value));
   Integer((long)value);
  }

void CMsgPackWriter::I32(const int value,const string name)
  {
   Integer((long)value);
  }

void CMsgPackWriter::I64(const long value,const string name)
  {
   Integer(value);
  }

void CMsgPackWriter::F64(const double value,const string name)
  {
   if(!IsFinite(value))
      Fail(name,"is not finite");
   Double(value);
  }

void CMsgPackWriter::Bool(const bool value,const string name)
  {
   Boolean(value);
  }

void CMsgPackWriter::Text(const string value,const int limit,const string name)
  {
   uchar data[];
   int count=TextToUtf8(value,data);
   if(count<0)
     {
      Fail(name,"cannot be written as UTF-8");
      return;
     }
   if(count>limit)
     {
      Fail(name,StringFormat("%d bytes are more than %d",count,limit));
      return;
     }
   if(HasNul(data,0,count))
     {
      Fail(name,"contains a NUL");
      return;
     }
   if(count<32)
      m_out.U8(0xA0|(uint)count);
   else
      if(count<=0xFF)
        {
         m_out.U8(0xD9);
         m_out.U8((uint)count);
        }
      else
         if(count<=0xFFFF)
           {
            m_out.U8(0xDA);
            m_out.U16BE((uint)count);
           }
         else
           {
            m_out.U8(0xDB);
            m_out.U32BE((uint)count);
           }
   m_out.Append(data,0,count);
  }

void CMsgPackWriter::Bin(const uchar &data[],const int size,const bool exact,const string name)
  {
   int count=ArraySize(data);
   if(count>size || (exact && count!=size))
     {
      Fail(name,StringFormat("%d bytes, expected %s%d",count,(exact ? "" : "at most "),size));
      return;
     }
   Bytes(data,0,count);
  }

void CMsgPackWriter::Array(const int count,const int limit,const string name)
  {
   if(count>limit)
      Fail(name,StringFormat("%d elements are more than %d",count,limit));
   BeginArray(count);
  }

void CMsgPackWriter::Map(const uchar &map[],const int entries,const int depth,const string name)
  {
   if(ArraySize(map)==0)
     {
      BeginMap(0);
      return;
     }
   CMsgPackReader reader;
   uchar checked[];
   string problem="";
   reader.Attach(map);
   reader.Map(checked,entries,depth,name);
   if(!reader.Finish("a map",problem))
     {
      Fail(name,problem);
      return;
     }
   Raw(checked);
  }

string CMsgPackWriter::Enter(const string name)
  {
   string outer=m_where;
   m_where=m_where+name+".";
   return(outer);
  }

void CMsgPackWriter::Leave(const string outer)
  {
   m_where=outer;
  }

bool CMsgPackWriter::Finish(const string message,uchar &body[],string &problem)
  {
   if(m_problem=="" && (m_out.Failed() || !m_out.ToArray(body)))
      m_problem="no memory";
   if(m_problem!="")
     {
      problem=message+"."+m_problem;
      return(false);
     }
   return(true);
  }

bool CMsgPackWriter::ToArray(uchar &out[]) const
  {
   return(!Failed() && !m_out.Failed() && m_out.ToArray(out));
  }

#endif // BRIDGE_WIRE_MSGPACKWRITER_MQH
